/** Makes the schema of a table's normalised form, for a configuration in JSON. */
import * as v from "valibot";
import { amount, count, finite } from "../number.ts";
import { type Field, type Kind, nameOf, type Table, type ValueOf } from "./field.ts";

export const shortText = v.pipe(v.string(), v.maxLength(65_536));

const share = v.union([
  v.object({ kind: v.literal("nodes"), nodes: count }),
  v.object({ kind: v.literal("percent"), percent: v.pipe(amount, v.maxValue(100)) }),
]);
const pairs = v.record(shortText, shortText);

const KINDS: Readonly<Record<Exclude<Kind, "choice">, v.GenericSchema>> = {
  text: shortText,
  integer: count,
  number: finite,
  flag: v.boolean(),
  duration: amount,
  texts: v.array(shortText),
  share,
  grace: finite,
  auto: v.union([v.boolean(), v.literal("auto")]),
  labels: pairs,
  taints: v.array(v.object({ key: shortText, value: shortText, effect: shortText })),
  headers: pairs,
  hook: shortText,
  hosts: shortText,
  word: shortText,
  prose: shortText,
  words: pairs,
};

function checkOf(field: Field): v.GenericSchema {
  const { min = -Infinity, max = Infinity, kind } = field;
  const within = v.check((given: unknown) => {
    return typeof given !== "number" || (given >= min && given <= max);
  }, `must be from ${min} to ${max}`);
  const sound = v.pipe(kind === "choice" ? v.picklist(field.of ?? []) : KINDS[kind], within);
  return field.default === undefined && field.required === undefined ? v.nullable(sound) : sound;
}

/** Entries of an object schema, without keys that have their own reader. */
export function entriesOf<T extends Table>(
  table: T,
): { [Name in keyof ValueOf<T>]: v.GenericSchema<ValueOf<T>[Name]> } {
  const entries = Object.entries(table).flatMap(([key, field]) => {
    if (field.kind === "own") return [];
    const check = field.kind === "mapping" ? v.object(entriesOf(field.keys)) : checkOf(field);
    return [[nameOf(key, field), check] as const];
  });
  return Object.fromEntries(entries) as never;
}
