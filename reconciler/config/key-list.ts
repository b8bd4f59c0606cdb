/**
 * Lists the keys of a table of `schema/config/` with type, default and meaning, in Markdown, for
 * `docs/configuration.md` and `navarch config explain`. Pure.
 */
import { stringify } from "yaml";
import { AUTOSCALERS } from "../../schema/config/autoscaler.ts";
import { keyWith, type Meta, metaOf, type OwnMeta, type Table } from "../../schema/config/field.ts";
import { formatDuration } from "../../schema/duration.ts";
import { formatSection } from "./table.ts";

type Leaf = Meta | OwnMeta;
export type Row = readonly [key: string, field: Leaf];

const UNUSED = "No effect in this version.";
const RESTART = "A change takes a restart.";
const code = (text: string): string => `\`${text}\``;

/** Before the keys of what a key holds; NAME is any name. */
const SEPARATORS: Readonly<Record<string, string>> = {
  "list of mappings": "[].",
  "mapping of mappings": ".NAME.",
};

/** The keys of a table and of the mappings inside it, by their paths. */
export function listKeys(table: Table, prefix = ""): Row[] {
  return Object.entries(table).flatMap(([key, field]): Row[] => {
    const path = `${prefix}${key}`;
    const meta = metaOf(field);
    if (meta.kind === "mapping") return listKeys(meta.keys, `${path}.`);
    const inner = meta.kind === "own" ? meta.inner?.() : undefined;
    if (meta.kind !== "own" || inner === undefined) return [[path, meta]];
    // An autoscaler may hold others, and has a section of its own.
    if (inner === AUTOSCALERS) return prefix === "" ? [[path, meta]] : [];
    if (meta.type === "mapping") return listKeys(inner, `${path}.`);
    const separator = SEPARATORS[meta.type] ?? ".";
    return [[path, meta], ...listKeys(inner, `${path}${separator}`)];
  });
}

/** Key, type with bounds, default and meaning. */
export function cellsOf([key, field]: Row): [string, string, string, string] {
  return [code(key), typeOf(field), defaultOf(field), helpOf(field)];
}

function helpOf({ help, unused, restart, usedBy = [] }: Leaf): string {
  if (unused !== true) return restart === true ? `${help} ${RESTART}` : help;
  const only = usedBy.map(code).join(", ");
  return `${help} ${only === "" ? UNUSED : `Read by ${only} only.`}`;
}

const TYPES: Partial<Record<Meta["kind"], string>> = {
  flag: "boolean",
  texts: "list of text",
  grace: "duration or -1",
  auto: "boolean or `auto`",
  labels: "mapping of text",
  taints: "list of `key=value:Effect` or mappings",
  headers: "mapping of text",
  hook: "text",
  hosts: "list of text",
  word: "text",
  prose: "text",
  words: "mapping of text",
};

function typeOf(field: Leaf): string {
  if (field.kind === "own") return field.type;
  const { kind, min, max, above, unit } = field;
  if (kind === "choice") return (field.of ?? []).map(code).join(", ");
  const show = kind === "duration" ? formatDuration : String;
  const bounds = [
    ...(min === undefined || above !== undefined ? [] : [` ≥ ${show(min)}`]),
    ...(above === undefined ? [] : [` > ${show(above)}`]),
    ...(max === undefined ? [] : [` ≤ ${show(max)}`]),
  ];
  const word = TYPES[kind] ?? kind;
  return `${word}${bounds.join("")}${unit === undefined ? "" : `, ${unit}`}`;
}

/** The default as it is written in YAML; `null` without a fixed one. */
export function defaultText(field: Leaf): string | null {
  const value = field.kind === "own" ? undefined : defaultValue(field);
  if (value === undefined) return null;
  // A list fits one line of a table.
  if (Array.isArray(value)) return `[${value.join(", ")}]`;
  const isText = typeof value === "string" && /%$/.test(value);
  return isText ? JSON.stringify(value) : stringify(value).trim();
}

/** The same as a value of a file; `undefined` without one. */
export function defaultValue({ unused: _, ...meta }: Meta): unknown {
  if (meta.default === undefined) return undefined;
  const key = keyWith({ ...meta, as: "key" });
  return formatSection({ key }, { key: meta.default }, "list")["key"];
}

function defaultOf(field: Leaf): string {
  if (field.or !== undefined) return field.or;
  if (field.required !== undefined) return "required";
  const text = defaultText(field);
  return text === null ? "–" : code(text);
}
