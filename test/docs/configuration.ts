/** `docs/configuration.md`: every key of the tables in `schema/config/`. */
import { stringify } from "yaml";
import { formatSection } from "../../reconciler/config/table.ts";
import { whyNoAdapter } from "../../reconciler/core/adapter.ts";
import { AUTOSCALER, AUTOSCALERS } from "../../schema/config/autoscaler.ts";
import type { Field, Own, Table } from "../../schema/config/field.ts";
import { KUBERNETES } from "../../schema/config/kubernetes.ts";
import { DEFAULTS, DRAIN, POOL } from "../../schema/config/pool.ts";
import { PROVIDER, PROVIDER_TYPES, SETTINGS } from "../../schema/config/provider.ts";
import { ROOT } from "../../schema/config/root.ts";
import { SAFETY } from "../../schema/config/safety.ts";
import { AGENT, MANAGER, SERVER } from "../../schema/config/server.ts";
import { formatDuration } from "../../schema/duration.ts";
import { code, formatHead, formatTable, readProse } from "./markdown.ts";

type Leaf = Field | Own;
type Row = readonly [key: string, field: Leaf];

export const HEAD = ["key", "type", "default", "meaning"];
const UNUSED = "No effect in this version.";

export function formatConfiguration(): string {
  const part = (title: string, table: Table, words = ""): string =>
    `\n## ${title}\n\n${words}${formatTable(HEAD, listKeys(table).map(cellsOf))}`;
  const sections = Object.entries(ROOT).map(([key, { kind, help }]) => {
    return [code(key), kind === "mapping" ? "mapping" : ROOT[key as "pools"].type, "–", help];
  });
  return [
    formatHead("Configuration", "the tables of `schema/config/`"),
    readProse("configuration"),
    `\n## Sections\n\n${formatTable(HEAD, sections)}`,
    part("server", SERVER),
    part("pools", POOL, readProse("pool")),
    `\n## pools[].scaling.autoscaler\n\n${formatTable(HEAD, listAutoscaler())}`,
    `\n## providers\n\n${readProse("provider")}${formatProviders()}`,
    part("defaults and global", DEFAULTS),
    part("global.agent", AGENT),
    part("drain", DRAIN),
    part("safety", SAFETY),
    part("kubernetes", KUBERNETES),
    part("instance_manager", MANAGER),
  ].join("");
}

/** The keys of a table and of the mappings inside it, by their paths. */
export function listKeys(table: Table, prefix = ""): Row[] {
  return Object.entries(table).flatMap(([key, field]): Row[] => {
    const path = `${prefix}${key}`;
    if (field.kind === "mapping") return listKeys(field.keys, `${path}.`);
    const inner = field.kind === "own" ? field.inner?.() : undefined;
    if (field.kind !== "own" || inner === undefined) return [[path, field]];
    // An autoscaler may hold others, and has a section of its own.
    if (inner === AUTOSCALERS) return prefix === "" ? [[path, field]] : [];
    if (field.type === "mapping") return listKeys(inner, `${path}.`);
    const separator = field.type === "list of mappings" ? "[]." : ".";
    return [[path, field], ...listKeys(inner, `${path}${separator}`)];
  });
}

export function cellsOf([key, field]: Row): string[] {
  return [code(key), typeOf(field), defaultOf(field), helpOf(field)];
}

function helpOf({ help, unused, usedBy = [] }: Leaf): string {
  if (unused !== true) return help;
  const only = usedBy.map(code).join(", ");
  return `${help} ${only === "" ? UNUSED : `Read by ${only} only.`}`;
}

const TYPES: Partial<Record<Field["kind"], string>> = {
  flag: "boolean",
  texts: "list of text",
  grace: "duration or -1",
  auto: "boolean or `auto`",
  labels: "mapping of text",
  headers: "mapping of text",
  hook: "text",
  hosts: "list of text",
  word: "text",
  prose: "text",
  words: "mapping of text",
};

function typeOf(field: Leaf): string {
  if (field.kind === "own") return field.type;
  const { kind, min, max, above } = field;
  if (kind === "choice") return (field.of ?? []).map(code).join(", ");
  const show = kind === "duration" ? formatDuration : String;
  const bounds = [
    ...(min === undefined || above !== undefined ? [] : [` ≥ ${show(min)}`]),
    ...(above === undefined ? [] : [` > ${show(above)}`]),
    ...(max === undefined ? [] : [` ≤ ${show(max)}`]),
  ];
  return `${TYPES[kind] ?? kind}${bounds.join("")}`;
}

/** A default as it would be written. */
function defaultText(field: Leaf): string | null {
  if (field.kind === "own" || field.default === undefined) return null;
  const { unused: _, map: _map, ...plain } = field;
  const printed = formatSection({ key: { ...plain, as: "key" } }, { key: field.default }, "list");
  const isText = typeof printed["key"] === "string" && /%$/.test(printed["key"]);
  return isText ? JSON.stringify(printed["key"]) : stringify(printed["key"]).trim();
}

function defaultOf(field: Leaf): string {
  if (field.or !== undefined) return field.or;
  if (field.required !== undefined) return "required";
  const text = defaultText(field);
  return text === null ? "–" : code(text);
}

/** Defaults of a section that can be written: path, and value in YAML. For the test. */
export function listDefaults(): [path: string, value: string][] {
  const { defaults, drain, safety, kubernetes, instance_manager, server } = ROOT;
  const sections: [string, Table][] = [
    ["pools[].", POOL],
    ["", { defaults, drain, safety, kubernetes, instance_manager, server }],
  ];
  return sections.flatMap(([prefix, table]) =>
    listKeys(table, prefix).flatMap(([path, field]): [string, string][] => {
      const isFixed = field.unused !== true && field.or === undefined;
      const text = isFixed ? defaultText(field) : null;
      return text === null ? [] : [[path, text]];
    }),
  );
}

function listAutoscaler(): string[][] {
  const type: Row = ["type", AUTOSCALERS["type"] as Field];
  const rows = Object.entries<Table>(AUTOSCALER).flatMap(([name, table]) =>
    listKeys(table).map((row) => {
      const [key = "", kind = "", fallback = "", help = ""] = cellsOf(row);
      const words = help.replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase());
      return [key, kind, fallback, `${code(name)}: ${words}`];
    }),
  );
  return [cellsOf(type), ...rows];
}

function formatProviders(): string {
  const isThere = (types: Leaf["types"]) =>
    types === undefined || types.some((type) => whyNoAdapter(type as "fake") === null);
  const rows = [...listKeys(PROVIDER), ...listKeys(SETTINGS)].flatMap(([key, field]) => {
    const head = SETTINGS[key.split(".")[0] as keyof typeof SETTINGS];
    const types = "types" in (head ?? {}) ? head.types : undefined;
    if (!isThere(types)) return [];
    const isAll = types === undefined || types.length === PROVIDER_TYPES.length;
    const [name = "", type = "", fallback = "", help = ""] = cellsOf([key, field]);
    return [[name, type, isAll ? "all" : types.map(code).join(", "), fallback, help]];
  });
  return formatTable(["key", "type", "provider types", "default", "meaning"], rows);
}
