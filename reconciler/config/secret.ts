/**
 * Finds and hides text that looks like a secret. A configuration is copied, shown and stored in
 * version control, so a secret in it is a warning and is never printed.
 */
import type { Config, NotifierConfig } from "../../schema/config.ts";
import { AUTOSCALERS } from "../../schema/config/autoscaler.ts";
import type { Table } from "../../schema/config/field.ts";
import { SETTINGS } from "../../schema/config/provider.ts";
import type { Problems } from "./problem.ts";
import type { Tree } from "./tree.ts";

const PATTERNS: readonly RegExp[] = [
  /-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----/,
  /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/,
  /\bAIza[0-9A-Za-z_-]{35}\b/,
  /\b(?:ghp|gho|ghs|github_pat)_[0-9A-Za-z_]{20,}/,
  /\bxox[abprs]-[0-9A-Za-z-]{10,}/,
  /\bsecret_[0-9A-Za-z-]{1,64}_[0-9A-Za-z.]{20,}/,
  /\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}/,
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

/** Names of flags and variables whose value is a secret, unless they end as `PUBLIC_END`. */
const SECRET_NAME =
  "[\\w-]*(?:token|secret|passw(?:or)?d|api[_-]?key|access[_-]?key|credential|certificate-key)";
const PUBLIC_END = "(?:[_-]?(?:file|path|env|dir|hash|ttl|name|id|stdin|ca[\\w-]*))";
/** A value as a shell reads it; a variable or a template expression is no secret. */
const VALUE = "(?:\"(?!\\$|\\{\\{)[^\"]+\"|'(?!\\{\\{)[^']+'|(?![\"'$]|\\{\\{)[^\\s\"';|&)]+)";

/** Group 1 is kept, so that the command stays readable. */
const NAMED: readonly RegExp[] = [
  new RegExp(`(--?(?!${SECRET_NAME}${PUBLIC_END})${SECRET_NAME}s?(?:=| +))${VALUE}`, "gi"),
  new RegExp(`(\\b(?!${SECRET_NAME}${PUBLIC_END})${SECRET_NAME}=)${VALUE}`, "gi"),
  /(\b[\w.+-]+:\/\/[^\s:@/"']*:)(?!\$)[^\s@/"']+(?=@)/g,
  /(\bAuthorization: *(?:Basic|Token) {1,9})[^\s"'$][^\s"']*/gi,
  /(\bhttps?:\/\/[^\s?"']+\?)[^\s"']+/g,
];

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
  const named = NAMED.reduce((out, pattern) => out.replace(pattern, `$1${HIDDEN}`), text);
  return PATTERNS.reduce((out, pattern) => {
    return out.replace(new RegExp(pattern.source, `${pattern.flags}g`), HIDDEN);
  }, named);
}

/**
 * Keys whose text is a program or a script, by the tables that describe the configuration. A secret
 * in one has no form that `hideSecrets` could know.
 */
function programsOf(tables: readonly Table[]): ReadonlySet<string> {
  const named = tables.flatMap((table) => Object.entries(table));
  const isProgram = ([, field]: (typeof named)[number]): boolean =>
    field.kind === "prose" || ("form" in field && field.form === "program");
  return new Set(named.filter(isProgram).map(([key]) => camelOf(key)));
}

const camelOf = (key: string): string =>
  key.replace(/_([a-z])/g, (_all, letter: string) => letter.toUpperCase());

const PROGRAMS = new Set([...programsOf([SETTINGS, AUTOSCALERS]), "setupCommands"]);
const PROGRAM_HIDDEN = "[hidden: a program; operators may read it]";

/**
 * The normalised configuration as JSON without secrets; equal ones give equal bytes. For viewers
 * also without programs and scripts.
 */
export function formatConfig(config: Config, hidesPrograms = false): string {
  const server = { ...config.server, notifier: hideHook(config.server.notifier) };
  const hide = (key: string, one: unknown): unknown => {
    if (hidesPrograms && PROGRAMS.has(key) && one !== null) {
      return Array.isArray(one) ? one.map(() => PROGRAM_HIDDEN) : PROGRAM_HIDDEN;
    }
    return typeof one === "string" ? hideSecrets(one) : one;
  };
  return `${JSON.stringify({ ...config, server }, hide, 2)}\n`;
}

/** Hides paths, which are often a hook's only secret, and headers; variables stay. */
function hideHook(notifier: NotifierConfig): object {
  if (notifier.type === "noop") return notifier;
  const shown = Object.entries(notifier).map(([name, value]) => {
    return [name, name.endsWith("Url") && typeof value === "string" ? hidePath(value) : value];
  });
  const headers = Object.entries(notifier.headers).map(([name, value]) => {
    return [name, value.includes("${") ? value : HIDDEN];
  });
  return { ...Object.fromEntries(shown), headers: Object.fromEntries(headers) };
}

function hidePath(url: string): string {
  const [, host, path = ""] = /^(https?:\/\/[^/?#]+)(.*)$/i.exec(url) ?? [];
  const isPublic = path === "" || path === "/" || path.includes("${");
  return isPublic ? url : `${host}/${HIDDEN}`;
}
