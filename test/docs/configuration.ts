/**
 * `docs/configuration.md`: every key that the readers ask for, with its type as they ask it, and
 * what `config-key.ts` says of it. A key that only one of the two knows is an error.
 */
import { stringify } from "yaml";
import type { Question } from "../../reconciler/config/problem.ts";
import { readConfig } from "../../reconciler/config/read.ts";
import { whyNoAdapter } from "../../reconciler/core/adapter.ts";
import { AUTOSCALER_TYPES, PROVIDER_TYPES } from "../../schema/config.ts";
import { formatDuration } from "../../schema/duration.ts";
import * as KEY from "./config-key.ts";
import { code, formatHead, formatTable, readProse } from "./markdown.ts";

type Rows = Readonly<Record<string, readonly [string, string]>>;
/** Path of a key, without numbers of lists, to the questions that were asked about it. */
type Asked = ReadonlyMap<string, readonly Question[]>;

export function formatConfiguration(): string {
  const asked = askAll();
  const part = (title: string, prefix: string, rows: Rows, words = ""): string =>
    `\n## ${title}\n\n${words}${formatKeys(asked, prefix, rows)}`;
  return [
    formatHead("Configuration", "the configuration's readers"),
    readProse("configuration"),
    part("Sections", "", KEY.ROOT_KEYS),
    part("server", "server", KEY.SERVER),
    part("pools", "pools[]", KEY.POOL, readProse("pool")),
    part("pools[].scaling.autoscaler", "pools[].scaling.autoscaler", KEY.AUTOSCALER),
    `\n## providers\n\n${readProse("provider")}${formatProviders(asked)}`,
    part("defaults and global", "defaults", KEY.DEFAULTS),
    part("global.agent", "global.agent", KEY.GLOBAL_AGENT),
    part("drain", "drain", KEY.DRAIN),
    part("safety", "safety", KEY.SAFETY),
    part("kubernetes", "kubernetes", KEY.KUBERNETES),
    part("instance_manager", "instance_manager", KEY.MANAGER),
  ].join("");
}

/** Everything that the readers ask of a configuration in which each variant occurs once. */
function askAll(): Asked {
  const asked = new Map<string, Question[]>();
  const note = (question: Question): void => {
    const { path, key } = question;
    const whole = (path === "" ? key : `${path}.${key}`).replaceAll(/\[\d+\]/g, "[]");
    asked.set(whole, [...(asked.get(whole) ?? []), question]);
  };
  const lists = { schedule: [{ days: ["mon"] }], autoscalers: [] };
  const pools = AUTOSCALER_TYPES.map((type) => ({
    name: type,
    providers: [{ name: "fake" }],
    scaling: { autoscaler: { type, ...lists } },
  }));
  const providers = Object.fromEntries(PROVIDER_TYPES.map((type) => [type, {}]));
  const one = { name: "one", provider: "fake" };
  const text = stringify({ providers, pools: [...pools, one] });
  readConfig([{ name: "all", text }], {}, note);
  return asked;
}

function formatKeys(asked: Asked, prefix: string, rows: Rows): string {
  checkKeys(asked, prefix, rows);
  const cells = Object.entries(rows).map(([key, [fallback, help]]) => {
    const path = prefix === "" ? key : `${prefix}.${key}`;
    return [code(key), typeOf(path, asked.get(path) ?? []), defaultOf(fallback), help];
  });
  return formatTable(["key", "type", "default", "meaning"], cells);
}

/** Sections of their own on the page. */
const ELSEWHERE = new Set(["pools[].scaling.autoscaler", "global.agent"]);

function checkKeys(asked: Asked, prefix: string, rows: Rows): void {
  const depth = (path: string): boolean =>
    [...ELSEWHERE].some((one) => one !== prefix && path.startsWith(one));
  for (const [path, questions] of asked) {
    const key = prefix === "" ? path : path.slice(prefix.length + 1);
    const isHere = prefix === "" ? !path.includes(".") : path.startsWith(`${prefix}.`);
    if (!isHere || depth(path) || rows[key] !== undefined) continue;
    if (questions.some(({ kind }) => kind === "mapping")) continue;
    throw new Error(`${path} is not in test/docs/config-key.ts`);
  }
  for (const key of Object.keys(rows)) {
    const path = prefix === "" ? key : `${prefix}.${key}`;
    if (!asked.has(path)) throw new Error(`no reader asks for ${path}`);
  }
}

/** Keys whose reader takes more forms than one getter says. */
const OWN_TYPE: readonly (readonly [RegExp, string])[] = [
  [/max_unavailable$|budgets\.\w+\.(pool|domain|fleet)$/, "share"],
  [/(start|end)_hour$/, "hour"],
  [/kubernetes\.enabled$/, "boolean or `auto`"],
  [/grace_period$/, "duration or -1"],
  [/rate_limit$/, "number or mapping"],
  [/setup_commands$/, "list of text or `template: NAME`"],
  [/(^defaults|\]|webhook)\.(labels|headers)$/, "mapping of text"],
  [/^pools$/, "list or mapping"],
  [/(pools\[\]|autoscaler)\.(providers|schedule|autoscalers)$/, "list of mappings"],
  [/setup_templates$/, "list of text"],
  [/\.provider$/, "text"],
];

function typeOf(path: string, questions: readonly Question[]): string {
  const own = OWN_TYPE.find(([shape]) => shape.test(path));
  if (own !== undefined) return own[1];
  const question = questions.find(({ kind }) => kind !== "any");
  if (question === undefined) throw new Error(`${path} has no type`);
  const { kind, bounds, allowed } = question;
  if (kind === "choice") return allowed.map(code).join(", ");
  const show = kind === "duration" ? formatDuration : String;
  const min = bounds.min === undefined ? "" : ` ≥ ${show(bounds.min)}`;
  const max = bounds.max === undefined ? "" : ` ≤ ${show(bounds.max)}`;
  return `${kind}${min}${max}`;
}

/** Defaults of a section that can be written: path, and value in YAML. For the test. */
export function listDefaults(): [path: string, value: string][] {
  const sections: [string, Rows][] = [
    ["server", KEY.SERVER],
    ["pools[]", KEY.POOL],
    ["defaults", KEY.DEFAULTS],
    ["drain", KEY.DRAIN],
    ["safety", KEY.SAFETY],
    ["kubernetes", KEY.KUBERNETES],
    ["instance_manager", KEY.MANAGER],
  ];
  return sections.flatMap(([section, rows]) =>
    Object.entries(rows).flatMap(([key, [fallback]]): [string, string][] =>
      fallback.startsWith("=") ? [[`${section}.${key}`, fallback.slice(1)]] : [],
    ),
  );
}

function defaultOf(fallback: string): string {
  if (fallback === "") return "–";
  return fallback.startsWith("=") ? code(fallback.slice(1)) : fallback;
}

function formatProviders(asked: Asked): string {
  const seen = new Set<string>();
  const rows: string[][] = [];
  for (const type of PROVIDER_TYPES.filter((one) => whyNoAdapter(one) === null)) {
    for (const [path, questions] of asked) {
      const prefix = `providers.${type}.`;
      const key = path.slice(prefix.length);
      if (!path.startsWith(prefix) || seen.has(key)) continue;
      const row = (KEY.PROVIDER as Rows)[key];
      if (row === undefined) {
        if (questions.some(({ kind }) => kind === "mapping")) continue;
        throw new Error(`providers: ${key} is not in test/docs/config-key.ts`);
      }
      seen.add(key);
      const types = PROVIDER_TYPES.filter((one) => asked.has(`providers.${one}.${key}`));
      const all = types.length === PROVIDER_TYPES.length ? "all" : types.map(code).join(", ");
      rows.push([code(key), typeOf(path, questions), all, defaultOf(row[0]), row[1]]);
    }
  }
  return formatTable(["key", "type", "provider types", "default", "meaning"], rows);
}
