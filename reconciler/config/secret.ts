/**
 * Finds and hides text that looks like a secret. A configuration is copied, shown and stored in
 * version control, so a secret in it is a warning and is never printed.
 */
import { RE2JS } from "re2js";
import type { Config, NotifierConfig } from "../../schema/config.ts";
import { AUTOSCALERS } from "../../schema/config/autoscaler.ts";
import { metaOf, nameOf, type Table } from "../../schema/config/field.ts";
import { SETTINGS } from "../../schema/config/provider.ts";
import type { Problems } from "./problem.ts";
import type { Tree } from "./tree.ts";

/** What JavaScript's engine finds only by trying each start again is found by RE2. */
type Pattern = RegExp | RE2JS;

const PATTERNS: readonly Pattern[] = [
  /-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----/,
  /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/,
  /\bAIza[0-9A-Za-z_-]{35}\b/,
  /\b(?:ghp|gho|ghs|github_pat)_[0-9A-Za-z_]{20,}/,
  /\bxox[abprs]-[0-9A-Za-z-]{10,}/,
  RE2JS.compile(String.raw`\bsecret_[0-9A-Za-z-]{1,64}_[0-9A-Za-z.]{20,}`),
  RE2JS.compile(String.raw`\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}`),
  // The address of such a web hook is its only secret.
  /\bhttps:\/\/hooks\.slack\.com\/(?:services|workflows|triggers)\/[^\s$]+/i,
  /\bhttps:\/\/(?:\w+\.)?discord(?:app)?\.com\/api\/(?:v\d+\/)?webhooks\/[^\s$]+/i,
  /\bhttps:\/\/[\w.-]+\.webhook\.office\.com\/webhookb2\/[^\s$]+/i,
  /\bBearer +[0-9A-Za-z._~+/-]{12,}/i,
  // A bootstrap token of kubeadm.
  /\b(?<![.-])[a-z0-9]{6}\.[a-z0-9]{16}\b(?![.-])/,
  // A join token of k3s or rke2, and one of Docker swarm.
  /\bK10[0-9a-f]{20,}::\w+:\S+/,
  /\bSWMTKN-1-[0-9a-z-]{20,}/,
];

/** Group 1 and what follows are kept, so that the command stays readable. */
const PARTS: readonly [pattern: Pattern, end: string][] = [
  [RE2JS.compile(String.raw`(\b[\w.+-]+://[^\s:@/"']*:)[^\s@/"'$][^\s@/"']*@`), "@"],
  [/(\bAuthorization: *(?:Basic|Token) {1,9})[^\s"'$][^\s"']*/gi, ""],
  [RE2JS.compile(String.raw`(\bhttps?://[^\s?"']+\?)[^\s"']+`), ""],
];

const SECRET_WORD =
  "(?:token|secret|passw(?:or)?d|api[_-]?key|access[_-]?key|credential|certificate-key)";
/** How the name of a flag or variable ends whose value is a secret. */
const SECRET_END = new RegExp(`${SECRET_WORD}s?$`, "i");
/** Such a word in a name whose value is none. */
const PUBLIC_WORD = new RegExp(
  `${SECRET_WORD}(?=[_-]?(?:file|path|env|dir|hash|ttl|name|id|stdin|ca))`,
  "gi",
);
const NAME = /[\w-]+/g;
/** A value as a shell reads it. */
const VALUE = /(=| +)(?:"([^"]+)"|'([^']+)'|([^\s"';|&)]+))/y;

const looksSecret = (text: string): boolean => PATTERNS.some((pattern) => pattern.test(text));

export function warnSecrets(problems: Problems, tree: Tree): void {
  if (tree.kind === "map") for (const entry of tree.entries) warnSecrets(problems, entry.value);
  else if (tree.kind === "list") for (const item of tree.items) warnSecrets(problems, item);
  else if (typeof tree.value === "string" && looksSecret(tree.value)) {
    const hint = "name an environment variable or a file instead";
    problems.warning(tree.at, tree.path, "secret", "looks like a secret", hint);
  }
}

const HIDDEN = "[redacted]";

/** The text with everything that looks like a secret replaced. */
export function hideSecrets(text: string): string {
  const named = hideValues(hideValues(text, "flag"), "variable");
  const parted = PARTS.reduce((out, [pattern, end]) => {
    return replaceAll(out, pattern, `$1${HIDDEN}${end}`);
  }, named);
  return PATTERNS.reduce((out, pattern) => replaceAll(out, pattern, HIDDEN), parted);
}

function replaceAll(text: string, pattern: Pattern, by: string): string {
  if (pattern instanceof RE2JS) return pattern.matcher(text).replaceAll(by);
  if (pattern.global) return text.replace(pattern, by);
  return text.replace(new RegExp(pattern.source, `${pattern.flags}g`), by);
}

type Named = "flag" | "variable";

/** One pass over names: what each ends with tells whether its value is read. */
function hideValues(text: string, named: Named): string {
  let shown = "";
  let done = 0;
  for (const { 0: name, index } of text.matchAll(NAME)) {
    const end = index + name.length;
    if (index < done || !SECRET_END.test(name)) continue;
    VALUE.lastIndex = end;
    const found = VALUE.exec(text);
    if (found === null || isVariable(found) || !isSecret(name, found[1] === "=", named)) continue;
    shown += `${text.slice(done, end)}${found[1]}${HIDDEN}`;
    done = VALUE.lastIndex;
  }
  return shown + text.slice(done);
}

/** A variable of the shell or a template's expression, which is no secret. */
function isVariable([, , double, single, bare]: RegExpExecArray): boolean {
  const value = double ?? single ?? bare ?? "";
  return value.startsWith("{{") || (single === undefined && value.startsWith("$"));
}

/** A flag begins at any `-`, a variable at any word; no word behind its start may be public. */
function isSecret(name: string, isAssigned: boolean, named: Named): boolean {
  const last = [...name.matchAll(PUBLIC_WORD)].at(-1)?.index;
  const hasStart = name.slice(last ?? 0, name.search(SECRET_END)).includes("-");
  if (named === "flag") return hasStart;
  return isAssigned && !/s$/i.test(name) && (hasStart || last === undefined);
}

/**
 * Keys whose text is a program or a script, by the tables that describe the configuration. A secret
 * in one has no form that `hideSecrets` could know.
 */
function programsOf(tables: readonly Table[]): ReadonlySet<string> {
  const named = tables.flatMap((table) => Object.entries(table));
  const isProgram = ([, field]: (typeof named)[number]): boolean => {
    const meta = metaOf(field);
    return meta.kind === "prose" || ("form" in meta && meta.form === "program");
  };
  return new Set(named.filter(isProgram).map(([key, field]) => nameOf(key, field)));
}

const PROGRAMS = new Set([...programsOf([SETTINGS, AUTOSCALERS]), "setupCommands"]);
/** What a viewer reads in place of a program or a script. */
export const PROGRAM_HIDDEN = "[hidden: a program; operators may read it]";

/**
 * The normalised configuration as JSON without secrets; equal ones give equal bytes. For viewers
 * also without programs and scripts.
 */
export function formatConfig(config: Config, hidesPrograms = false): string {
  const { notifier, tracing } = config.server;
  const traces = { ...tracing, headers: hideHeaders(tracing.headers) };
  const server = { ...config.server, notifier: hideHook(notifier), tracing: traces };
  // Pools share most of their texts.
  const known = new Map<string, string>();
  const hide = (key: string, one: unknown): unknown => {
    if (hidesPrograms && PROGRAMS.has(key) && one !== null) {
      return Array.isArray(one) ? one.map(() => PROGRAM_HIDDEN) : PROGRAM_HIDDEN;
    }
    if (typeof one !== "string") return one;
    const shown = known.get(one) ?? hideSecrets(one);
    known.set(one, shown);
    return shown;
  };
  return `${JSON.stringify({ ...config, server }, hide, 2)}\n`;
}

/** A header's name does not tell whether its value is a secret; variables stay. */
function hideHeaders(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, value.includes("${") ? value : HIDDEN]),
  );
}

/** Hides paths, which are often a hook's only secret, and headers; variables stay. */
function hideHook(notifier: NotifierConfig): object {
  if (notifier.type === "noop") return notifier;
  const shown = Object.entries(notifier).map(([name, value]) => {
    return [name, name.endsWith("Url") && typeof value === "string" ? hidePath(value) : value];
  });
  return { ...Object.fromEntries(shown), headers: hideHeaders(notifier.headers) };
}

function hidePath(url: string): string {
  const host = /^https?:\/\/[^/?#]+/i.exec(url)?.[0] ?? "";
  const path = host === "" ? "" : url.slice(host.length);
  const isPublic = path === "" || path === "/" || path.includes("${");
  return isPublic ? url : `${host}/${HIDDEN}`;
}
