/**
 * What a valibot schema takes: an example, and every place of it in which a text may stand. A field
 * that a schema gains is found here without anybody naming it. Pure.
 */
import * as v from "valibot";

/** A text, or whatever may be long, stands at `path`; `textMax` is the schema's own limit. */
export type Place = {
  path: readonly (string | number)[];
  /** An accepted value of the whole, in which the place is filled. */
  base: unknown;
  textMax: number;
  /** Of an array: how many items it may have; `null` = the place is no array. */
  itemsMax: number | null;
  /** The schema takes anything there. */
  any: boolean;
};

type Part = {
  type: string;
  kind: string;
  entries?: Record<string, Part>;
  wrapped?: Part;
  item?: Part;
  value?: Part;
  options?: unknown[];
  literal?: unknown;
  getter?: (input: unknown) => Part;
  pipe?: Part[];
  requirement?: unknown;
};

/** One of them is taken wherever the API takes a text. */
const TEXTS = [
  ...["x", "1h", "2026-11-23T12:00:00Z", "2026-11-23", "2026-11", "1", "1%", "true", "0.0.1"],
  ...["a".repeat(22), `nvj.${"a".repeat(43)}`, "GPU-00000000-0000-0000-0000-000000000000"],
  ...["00000000:00:00.0", "a/b"],
];
const PLAIN = [...TEXTS, 1, 0, true, null, {}, []];

const accepts = (schema: Part, value: unknown): boolean =>
  v.safeParse(schema as unknown as v.GenericSchema, value).success;

const isOptional = ({ type }: Part): boolean => /^(?:optional|nullish|exact_optional)$/.test(type);

export class NoExample extends Error {}

/** A value that the schema takes. Throws `NoExample`. */
export function exampleOf(schema: unknown): unknown {
  for (const value of candidates(schema as Part)) {
    if (accepts(schema as Part, value)) return value;
  }
  throw new NoExample(`no example of ${(schema as Part).type}`);
}

function* candidates(part: Part): Generator<unknown> {
  const { type, item, entries, options } = part;
  for (const one of choicesOf(part)) yield* candidates(one);
  if (item !== undefined) yield* [[exampleOf(item)], []];
  if (part.value !== undefined) yield { k: exampleOf(part.value) };
  if (part.literal !== undefined) yield part.literal;
  if (type === "picklist") yield* options ?? [];
  if (entries !== undefined) yield* objectsOf(entries);
  yield* PLAIN;
}

/** With what it must have, then with one more, then with two. */
function* objectsOf(entries: Record<string, Part>): Generator<Record<string, unknown>> {
  const all = Object.entries(entries);
  const filled = (keys: readonly string[]) =>
    Object.fromEntries(
      all.flatMap(([key, part]) =>
        isOptional(part) && !keys.includes(key) ? [] : [[key, exampleOf(part)]],
      ),
    );
  const optional = all.filter(([, part]) => isOptional(part)).map(([key]) => key);
  yield filled([]);
  for (const one of optional) yield filled([one]);
  for (const one of optional) for (const two of optional) yield filled([one, two]);
}

/** Every place of a text, in the order of the schema. */
export function placesOf(schema: unknown): Place[] {
  const whole = schema as Part;
  const found: Place[] = [];
  /** `around` is a whole in which this part may stand at `path`. */
  const look = (part: Part, path: Place["path"], around: unknown): void => {
    const add = (more: Partial<Place>): void => {
      const base = baseFor(whole, put(around, path, exampleOf(part)), path);
      found.push({ path, base, textMax: Infinity, itemsMax: null, any: false, ...more });
    };
    for (const other of choicesOf(part)) look(other, path, put(around, path, exampleOf(other)));
    const max = limitOf(part, "max_length");
    if (part.type === "string") add({ textMax: max });
    if (part.type === "unknown" || part.type === "any") add({ any: true });
    if (part.item !== undefined) {
      add({ itemsMax: max, textMax: textMaxOf(part.item) });
      look(part.item, [...path, 0], around);
    }
    if (part.value !== undefined) look(part.value, [...path, "k"], around);
    for (const [key, entry] of Object.entries(part.entries ?? {})) {
      look(entry, [...path, key], around);
    }
  };
  look(whole, [], exampleOf(whole));
  return found;
}

/** What stands for the part: one of a union, or what wraps nothing more. */
function choicesOf({ type, wrapped, options, getter }: Part): Part[] {
  if (wrapped !== undefined) return [wrapped];
  if (getter !== undefined) return PROBES.map((probe) => getter(probe));
  return type === "union" || type === "variant" ? ((options ?? []) as Part[]) : [];
}

/** A lazy schema chooses by the keys of what was sent. */
const PROBES = [undefined, new Proxy({}, { has: () => true })];

function textMaxOf(part: Part): number {
  if (part.wrapped !== undefined) return textMaxOf(part.wrapped);
  return limitOf(part, "max_length");
}

/** Of a pipe in a pipe, too. */
function limitOf(part: Part, type: string): number {
  const inner = (part.pipe ?? [])
    .filter((one) => one !== part)
    .map((one) => {
      if (one.type === type) return Number(one.requirement);
      return one.pipe === undefined ? Infinity : limitOf(one, type);
    });
  return Math.min(Infinity, ...inner);
}

/** A whole that is taken with the place filled; of keys that exclude each other, without others. */
function baseFor(whole: Part, filled: unknown, path: Place["path"]): unknown {
  if (accepts(whole, filled)) return filled;
  for (const key of Object.keys(whole.entries ?? {}).filter((one) => one !== path[0])) {
    const { [key]: _, ...rest } = filled as Record<string, unknown>;
    if (accepts(whole, rest)) return rest;
  }
  // The place is checked before what is missing beside it.
  return filled;
}

/** A copy with `value` at `path`. */
export function put(into: unknown, path: Place["path"], value: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  if (typeof key === "number") {
    const array = Array.isArray(into) ? [...(into as unknown[])] : [];
    array[key] = put(array[key], rest, value);
    return array;
  }
  const object = typeof into === "object" && into !== null ? into : {};
  const inner = (object as Record<string, unknown>)[key];
  return { ...object, [key]: put(inner, rest, value) };
}
