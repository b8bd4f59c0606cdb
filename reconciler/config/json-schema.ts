/**
 * The JSON Schema of a configuration file (draft-07), for editors: completes keys, shows what they
 * mean and marks what the reader would refuse for its form. It judges one file, which others may be
 * laid over: so a key of a mapping is never required, and one of a list's entry is.
 *
 * What it cannot say, and the reader does: bounds of durations, forms of addresses and names, what
 * keys say together (one key twice by two spellings, min_nodes above max_nodes, a pool's setting
 * that its provider's type does not have), names that must be defined or differ, depth and size.
 */
import { AUTOSCALER, AUTOSCALERS } from "../../schema/config/autoscaler.ts";
import {
  type Key,
  type Meta,
  metaOf,
  type OwnMeta,
  type Table,
} from "../../schema/config/field.ts";
import { POOL } from "../../schema/config/pool.ts";
import {
  PROVIDER,
  PROVIDER_KEYS,
  PROVIDER_TYPES,
  settingsOf,
} from "../../schema/config/provider.ts";
import { ROOT } from "../../schema/config/root.ts";
import { POOL_NAME } from "../../schema/id.ts";
import { VERSION } from "../../schema/version.ts";
import { movesOf } from "./alias.ts";
import { FORMS as TEXTS } from "./form.ts";
import { DAYS } from "./schedule.ts";
import { defaultValue } from "./key-list.ts";

type Json = { readonly [key: string]: unknown };

const HOME = "https://github.com/NavarchProject/navarch/releases/download";
const SCHEMA_URL = `${HOME}/v${VERSION}/navarch.schema.json`;
/** First line of a file, by which editors find the schema. */
export const SCHEMA_LINE = `# yaml-language-server: $schema=${SCHEMA_URL}\n`;

const anyOf = (...all: readonly Json[]): Json => ({ anyOf: all });
const LINE = { type: "string", pattern: "^(?=[\\s\\S]*\\S)[^\\u0000-\\u001f\\u007f]+$" };
const PROSE = { type: "string", pattern: "\\S" };
/** Other scalars count as what was written, and an empty text as none. */
const SCRIPT = anyOf({ type: ["number", "boolean"] }, { type: "string", pattern: "^$|\\S" });
const WORD = { type: ["string", "number", "boolean"] };
const DURATION = {
  anyOf: [
    { type: "string", pattern: "^\\s*(0|\\+?((\\d+(\\.\\d+)?|\\.\\d+)(ns|us|µs|ms|s|m|h))+)\\s*$" },
    { const: 0 },
  ],
};
/** In any case of letters, as the reader takes them. */
const DAY = `^(${[...DAYS, ...DAYS.map((day) => day.slice(0, 3))]
  .map((day) => day.replaceAll(/./g, (letter) => `[${letter}${letter.toUpperCase()}]`))
  .join("|")})$`;
const NAME = { type: "string", pattern: POOL_NAME.source };
const listOf = (items: Json): Json => ({ type: "array", items });
const mapOf = (values: Json): Json => ({ type: "object", additionalProperties: values });
const ref = (name: string): Json => ({ $ref: `#/definitions/${name}` });

/** A key without a value counts as absent. */
function orNull(form: Json): Json {
  if (Array.isArray(form["enum"])) return { ...form, enum: [...form["enum"], null] };
  if (typeof form["type"] === "string") return { ...form, type: [form["type"], "null"] };
  if (Array.isArray(form["type"])) return { ...form, type: [...form["type"], "null"] };
  return Array.isArray(form["anyOf"])
    ? { ...form, anyOf: [...form["anyOf"], { type: "null" }] }
    : anyOf(form, { type: "null" });
}

type Bounds = Pick<Meta, "min" | "max" | "above">;

const bounded = (type: string, { min, max, above }: Bounds): Json => ({
  type,
  ...(min === undefined ? {} : { minimum: min }),
  ...(max === undefined ? {} : { maximum: max }),
  ...(above === undefined ? {} : { exclusiveMinimum: above }),
});

const TAINT = anyOf(LINE, {
  type: "object",
  properties: { key: LINE, value: orNull(WORD), effect: LINE },
  required: ["key", "effect"],
  additionalProperties: false,
});

const FORMS: Readonly<Record<Meta["kind"], (meta: Meta) => Json>> = {
  text: ({ form }) => {
    const shape = form === undefined ? undefined : TEXTS[form].shape;
    return shape === undefined ? LINE : { allOf: [LINE, { pattern: shape.source }] };
  },
  integer: (meta) => bounded("integer", meta),
  number: (meta) => bounded("number", meta),
  flag: () => ({ type: "boolean" }),
  duration: () => DURATION,
  choice: ({ of = [] }) => ({ enum: of }),
  texts: ({ of }) => listOf(of === undefined ? LINE : { enum: of }),
  share: () =>
    anyOf(
      { type: "integer", minimum: 0 },
      { type: "string", pattern: "^(0*100(\\.0+)?|0*\\d{1,2}(\\.\\d+)?)\\s*%$" },
    ),
  grace: () => anyOf(...DURATION.anyOf, { const: -1 }),
  auto: () => ({ enum: [true, false, "auto"] }),
  labels: () => mapOf({ type: "string" }),
  taints: () => listOf(TAINT),
  headers: () => mapOf(LINE),
  hook: () => ({ type: "string" }),
  hosts: () => listOf(LINE),
  word: () => WORD,
  prose: () => SCRIPT,
  words: () => mapOf(orNull(WORD)),
};

/** By the type that the page names. */
function ownForm({ type, inner }: OwnMeta, isEntry: boolean): Json {
  const table = inner?.();
  const held = (inList: boolean): Json => {
    if (table === AUTOSCALERS)
      return inList ? ref("autoscaler-entry") : typedOr("autoscaler", "any");
    return table === undefined ? { type: "object" } : objectOf(table, inList);
  };
  switch (type) {
    case "anything":
      return {};
    case "text":
      return LINE;
    case "list of text":
      return listOf(LINE);
    case "mapping":
      return held(isEntry);
    case "list of mappings":
      return listOf(held(true));
    case "number or mapping":
      return anyOf({ type: "number", exclusiveMinimum: 0 }, held(isEntry));
    case "text or list of text":
      return anyOf({ type: "string" }, listOf(LINE));
    case "list of days":
      return listOf({ type: "string", pattern: DAY });
    case "hour":
      return anyOf(
        { type: "integer", minimum: 0, maximum: 24 },
        { type: "string", pattern: "^\\s*\\d{1,2}:\\d{2}\\s*$" },
      );
    case "list of text or `template: NAME`":
      return listOf(
        anyOf(PROSE, {
          type: "object",
          properties: { template: LINE },
          required: ["template"],
          additionalProperties: false,
        }),
      );
    default:
      throw new Error(`no form of a key of type ${type}`);
  }
}

function formOf(field: Key, isEntry: boolean): Json {
  const meta = metaOf(field);
  if (meta.kind === "mapping") {
    return { ...orNull(objectOf(meta.keys, isEntry)), description: meta.help };
  }
  const form = meta.kind === "own" ? ownForm(meta, isEntry) : FORMS[meta.kind](meta);
  const isRequired = isEntry && meta.required !== undefined;
  const fallback = meta.kind === "own" ? undefined : defaultValue(meta);
  const said = meta.or === undefined || meta.or === "required" ? "" : ` Default: ${meta.or}.`;
  const unit = meta.unit === undefined ? "" : ` Unit: ${meta.unit}.`;
  return {
    ...(isRequired ? form : orNull(form)),
    description: `${meta.help}${unit}${said}`,
    ...(fallback === undefined ? {} : { default: fallback }),
  };
}

/** The key at a path of tables. */
function at(table: Table, [key = "", ...rest]: readonly string[]): Key | null {
  const field = table[key];
  if (field === undefined) return null;
  const meta = metaOf(field);
  if (rest.length === 0) return field;
  const keys = meta.kind === "mapping" ? meta.keys : meta.kind === "own" ? meta.inner?.() : null;
  return keys == null ? null : at(keys, rest);
}

/** Keys of a table in each of their spellings. `isEntry`: of a list's entry, which is whole. */
function propertiesOf(table: Table, isEntry: boolean): Record<string, Json> {
  const own = Object.entries(table).map(([key, field]) => [key, formOf(field, isEntry)] as const);
  const spelled = movesOf(table).flatMap(([from, to]) => {
    const field = at(table, to);
    if (field === null) return [];
    const { default: _, ...form } = formOf(field, false);
    return [[from, { ...form, description: `The same as \`${to.join(".")}\`.` }] as const];
  });
  return Object.fromEntries([...spelled, ...own]);
}

function objectOf(table: Table, isEntry: boolean, more: Record<string, Json> = {}): Json {
  const names = Object.entries(table).filter(([, field]) => {
    const meta = metaOf(field);
    return meta.kind !== "mapping" && meta.required !== undefined;
  });
  // A required key may be there in another spelling.
  const spelled = new Set(movesOf(table).map(([, [to]]) => to));
  const required = names.map(([key]) => key).filter((key) => !spelled.has(key));
  return {
    type: "object",
    properties: { ...more, ...propertiesOf(table, isEntry) },
    ...(isEntry && required.length > 0 ? { required } : {}),
    additionalProperties: false,
  };
}

/** `form` where the condition holds, with the word of JSON Schema that oxlint takes for a promise. */
const when = (condition: Json, form: Json): Json =>
  Object.fromEntries([
    ["if", condition],
    ["then", form],
  ]);

/** A mapping whose keys depend on its `type`. */
const typed = (types: readonly string[], prefix: string): Json => ({
  type: ["object", "null"],
  properties: { type: { enum: [...types, null] } },
  allOf: types.map((type) =>
    when({ properties: { type: { const: type } }, required: ["type"] }, ref(`${prefix}-${type}`)),
  ),
});

/** The same; without a type it has the keys of `otherwise`. */
const typedOr = (name: string, otherwise: string): Json => ({
  allOf: [ref(name), when({ properties: { type: { type: "null" } } }, ref(`${name}-${otherwise}`))],
});

function providerForms(): Record<string, Json> {
  const forms = PROVIDER_TYPES.map((type) => {
    const form = orNull(objectOf({ ...PROVIDER, ...settingsOf(type) }, false));
    return [`provider-${type}`, form] as const;
  });
  const all = orNull(objectOf(PROVIDER_KEYS, false));
  return {
    ...Object.fromEntries(forms),
    "provider-any": all,
    provider: typed(PROVIDER_TYPES, "provider"),
  };
}

function autoscalerForms(): Record<string, Json> {
  const type = formOf(AUTOSCALERS["type"] as Key, false);
  const forms = Object.entries<Table>(AUTOSCALER).map(([name, table]) => {
    return [`autoscaler-${name}`, orNull(objectOf(table, false, { type }))] as const;
  });
  return {
    ...Object.fromEntries(forms),
    "autoscaler-any": orNull(objectOf(AUTOSCALERS, false)),
    autoscaler: typed(Object.keys(AUTOSCALER), "autoscaler"),
    "autoscaler-entry": entryOf("autoscaler", { type: { type: "string" } }),
  };
}

/** An entry of a list, which no other file completes. */
const entryOf = (name: string, properties: Record<string, Json>): Json => ({
  allOf: [ref(name), { type: "object", properties, required: Object.keys(properties) }],
});

export function formatJsonSchema(): string {
  const { providers, pools, ...sections } = ROOT;
  const named = PROVIDER_TYPES.map((type) => [type, typedOr("provider", type)]);
  const more = {
    providers: {
      type: ["object", "null"],
      description: metaOf(providers).help,
      propertyNames: NAME,
      properties: Object.fromEntries(named) as Json,
      additionalProperties: typedOr("provider", "any"),
    },
    pools: {
      description: metaOf(pools).help,
      anyOf: [
        listOf(entryOf("pool", { name: NAME })),
        { type: "object", propertyNames: NAME, additionalProperties: ref("pool") },
        { type: "null" },
      ],
    },
  };
  const schema = {
    $schema: "http://json-schema.org/draft-07/schema#",
    $id: SCHEMA_URL,
    title: "Configuration of navarch",
    ...objectOf(sections, false, more),
    definitions: {
      pool: orNull(objectOf(POOL, false, { name: orNull(WORD) })),
      ...autoscalerForms(),
      ...providerForms(),
    },
  };
  return `${JSON.stringify(schema, null, 1)}\n`;
}
