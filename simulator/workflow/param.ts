/** Reads the parameters of a task; an unreadable one names the field and the type it expects. */
import * as v from "valibot";
import { parseDuration } from "../../schema/duration.ts";
import { unknownKey } from "./document.ts";
import { TaskError } from "./task.ts";
import { writtenAs } from "./yaml.ts";

const DURATION = "a duration such as 30s";

/** A duration as Go writes it, in milliseconds. */
export const duration = v.pipe(
  v.string(({ received }) => `expected ${DURATION}, found ${received}`),
  v.rawTransform<string, number>(({ dataset, addIssue, NEVER }) => {
    const read = parseDuration(dataset.value);
    if (read.ok) return read.ms;
    const hint = read.hint === null ? "" : ` (${read.hint})`;
    addIssue({ message: `expected ${DURATION}: ${read.message}${hint}` });
    return NEVER;
  }),
);

/** Parameters that are absent are an empty map. */
export function readParams<T>(schema: v.GenericSchema<unknown, T>, params: unknown): T {
  const given = params ?? {};
  if (!isMap(given)) throw new TaskError("failed to parse parameters: expected a map");
  const read = v.safeParse(schema, given);
  if (read.success) return read.output;
  const [issue] = read.issues;
  throw new TaskError(`failed to parse parameters: ${explain(schema, issue)}`);
}

type Issue = v.BaseIssue<unknown>;

function explain(schema: v.GenericSchema, issue: Issue): string {
  const path = v.getDotPath(issue);
  const place = path === null ? "" : `${path}: `;
  const keys = issue.path ?? [];
  if (issue.type === "strict_object" && issue.expected === "never") {
    const before = keys.slice(0, -1).map(({ key }) => String(key));
    const allowed = Object.keys(entriesAt(schema, before) ?? {});
    const at = before.length === 0 ? "" : `${before.join(".")}: `;
    return `${at}${unknownKey(String(keys.at(-1)?.key ?? ""), allowed)}`;
  }
  if (!/^Invalid (type|key): Expected/.test(issue.message)) return `${place}${issue.message}`;
  if (issue.received === "undefined") return `${place}missing`;
  return `${place}expected ${wordOf(issue.expected ?? "another value")}, found ${foundOf(issue)}`;
}

/** Type names of valibot in terms of YAML. */
const WORDS: Readonly<Record<string, string>> = {
  Object: "a map",
  Array: "a list",
  string: "text",
  number: "a number",
  boolean: "true or false",
};
const wordOf = (expected: string): string => WORDS[expected] ?? expected;

function foundOf({ received, input }: Issue): string {
  return typeof input === "object" ? wordOf(received) : received;
}

type Walked = {
  type?: string;
  entries?: Record<string, Walked>;
  item?: Walked;
  value?: Walked;
  wrapped?: Walked;
  pipe?: readonly Walked[];
};

/** The keys that a schema allows at a place in it; `null` where any key is allowed. */
function entriesAt(schema: unknown, path: readonly string[]): Record<string, Walked> | null {
  // A schema is its own description; its public type does not tell which kind it is.
  const { entries, item, value, wrapped, pipe } = schema as Walked;
  if (wrapped !== undefined) return entriesAt(wrapped, path);
  const [key, ...rest] = path;
  if (key === undefined) return entries ?? pipe?.[0]?.entries ?? null;
  const next = entries?.[key] ?? item ?? value;
  return next === undefined ? null : entriesAt(next, rest);
}

type Map = Record<string, unknown>;
const isMap = (value: unknown): value is Map =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A scalar as text, as it was written: `8` is "8", `1.10` is "1.10". */
function textAt(map: Map, key: string): string | null {
  const value = map[key];
  if (value === null || value === undefined) return "";
  if (typeof value === "object") return null;
  return writtenAs(map, key) ?? String(value);
}

/** Labels, annotations and data of configmaps: values need no quotes, and compare as text. */
export const textMap = v.pipe(
  v.custom<Map>(isMap, "expected a map of text"),
  v.rawTransform<Map, Record<string, string>>(({ dataset, addIssue, NEVER }) => {
    const entries: [string, string][] = [];
    for (const key of Object.keys(dataset.value)) {
      const text = textAt(dataset.value, key);
      if (text === null) {
        addIssue({ message: `expected text for the key ${JSON.stringify(key)}` });
        return NEVER;
      }
      entries.push([key, text]);
    }
    return Object.fromEntries(entries);
  }),
);

/** An object's state with its labels and annotations as text; `null` still removes one. */
export function withTextLabels(state: Map): Map {
  const metadata = state["metadata"];
  if (!isMap(metadata)) return state;
  const read = { ...metadata };
  for (const field of ["labels", "annotations"]) {
    const map = metadata[field];
    if (!isMap(map)) continue;
    read[field] = Object.fromEntries(
      Object.keys(map).map((key) => [
        key,
        map[key] === null ? null : (textAt(map, key) ?? map[key]),
      ]),
    );
  }
  return { ...state, metadata: read };
}
