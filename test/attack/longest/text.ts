/**
 * The texts that cost a pattern or a parser the most: near-matches, repeated. One that tries each
 * start again, or gives characters back, takes seconds for a megabyte of the right one of them.
 */
import { type Place, put } from "./schema.ts";

/** Repeated to the limit, and then what no pattern takes. */
const NEAR = [
  ...["a", "A", "0", " ", "\t", "\r\n", "/", ".", "-", "_", ":", ",", ";", "@", "%", "=", "#"],
  ...["&", "[", "(", "{", "<", "[]", "[0-", "[0-9],", "a[0-1]", "a,", "a-", "a.", "a ", "0-", "0."],
  ...["0:", "1h", "1e", "../", "\\", '"', "'", "&#0", "\n- ", "a: ", "&a ", "*a,", "!", "|", "${"],
  ...["%2", "\u0000", "\u0301", "é", "\u{1f600}", "\u2028", "eyJ", "nvt.a", "token=", "a://b:"],
  "T00:00",
];
/** As they are: accepted by more, and long lists where a list may stand. */
const WHOLE = ["a", "0", "1h", "a,", "a.", "a-1,", "n[0-65535],", "[0-9]"];
/** A short text for many long ones. */
const LIST = "[0-65535]";

/** Of texts that are short, these: the square of their length is little. */
const SHORT = 4_096;
const FEW = new Set([
  ...["a", "0", " ", "/", ".", "-", ":", ",", "[", "(", "a,", "a-", "0-", "\\", "é"],
]);

const fill = (unit: string, end: string, length: number): string =>
  `${unit.repeat(Math.max(0, Math.floor((length - end.length) / unit.length)))}${end}`;

const PARTS: [unit: string, end: string][] = [
  ...NEAR.map((unit): [string, string] => [unit, "?"]),
  ...WHOLE.map((unit): [string, string] => [unit, ""]),
  ["a", LIST],
];

/** Each with a word for it, in JSON no longer than `bytes`. */
function* worstTexts(bytes: number, charsMax: number): Generator<[string, string]> {
  const few = charsMax <= SHORT;
  for (const [unit, end] of PARTS.filter(([one]) => !few || FEW.has(one))) {
    const each = (Buffer.byteLength(JSON.stringify(unit)) - 2) / unit.length;
    yield [`${unit}…${end}`, fill(unit, end, Math.min(charsMax, Math.floor(bytes / each)))];
  }
}

/** As a URL spells them. */
export function* worstSpelled(bytes: number): Generator<[string, string]> {
  for (const [unit, end] of PARTS.filter(([one]) => FEW.has(one))) {
    const each = encodeURIComponent(unit).length / unit.length;
    const text = fill(unit, end, Math.floor(bytes / each) - 2 * end.length);
    yield [`${unit}…${end}`, encodeURIComponent(text)];
  }
}

/** As a header may have them. */
export function* worstHeaders(bytes: number): Generator<[string, string]> {
  for (const [unit, end] of PARTS.filter(([one]) => FEW.has(one))) {
    if (/^[\x20-\x7e]+$/.test(unit)) yield [`${unit}…${end}`, `x${fill(unit, end, bytes - 1)}`];
  }
}

/** Whole bodies that are no JSON. */
export function* worstRaw(bytes: number): Generator<[string, string]> {
  for (const [unit, end] of PARTS) {
    const each = Buffer.byteLength(unit) / unit.length;
    yield [`${unit}…${end}`, fill(unit, end, Math.floor(bytes / each) - 2)];
  }
}

/**
 * The worst that may stand in a place of a body: texts at the schema's limit, texts at the body's,
 * and as many items as fit. Where anything may stand, `known` may, with the lists in it that long.
 */
export function* worstValues(
  place: Place,
  bytesMax: number,
  known: unknown,
): Generator<[string, unknown]> {
  const { base, path, textMax, itemsMax, any } = place;
  const left = bytesMax - Buffer.byteLength(JSON.stringify(base)) - 64;
  if (itemsMax !== null) yield* worstLists(at(base, path), { left, textMax, itemsMax });
  else if (textMax < left) yield* worstTexts(left, textMax);
  if (itemsMax === null) yield* worstTexts(left, Infinity);
  if (any) yield* worstShapes(left, known);
}

/** Many items, and fewer that are long. */
function* worstLists(
  like: unknown,
  { left, textMax, itemsMax }: { left: number; textMax: number; itemsMax: number },
): Generator<[string, unknown[]]> {
  const [example] = Array.isArray(like) ? (like as unknown[]) : [];
  const each = Buffer.byteLength(JSON.stringify(example)) + 1;
  const list = (count: number, one: (i: number) => unknown): [string, unknown[]] => {
    const items = Array.from({ length: Math.min(count, itemsMax) }, (_, i) => one(i));
    return [`${items.length} items`, items];
  };
  if (typeof example !== "string") return yield list(Math.floor(left / each), () => example);
  yield list(Math.floor(left / 10), (i) => `n${i}`.slice(0, textMax));
  const chars = Math.min(textMax, Math.floor(left / Math.min(itemsMax, 1_000)) - 8);
  yield list(Math.floor(left / (chars + 3)), (i) => `${i}`.padEnd(chars, "a").slice(0, textMax));
}

const at = (value: unknown, path: Place["path"]): unknown =>
  path.reduce((inner, key) => (inner as Record<string | number, unknown>)[key], value);

function* listsIn(value: unknown, path: string[]): Generator<string[]> {
  if (Array.isArray(value)) return yield path;
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) yield* listsIn(inner, [...path, key]);
}

/** Of what may be anything. */
function* worstShapes(bytes: number, known: unknown): Generator<[string, unknown]> {
  for (const path of listsIn(known, [])) {
    const left = bytes - Buffer.byteLength(JSON.stringify(known));
    for (const one of [1, {}, (at(known, path) as unknown[])[0] ?? ""]) {
      const each = Buffer.byteLength(JSON.stringify(one)) + 1;
      const list = Array<unknown>(Math.floor(left / each)).fill(one);
      yield [`${list.length} ${path.join(".")}`, put(known, path, list)];
    }
  }
  yield ["numbers", Array<number>(Math.floor(bytes / 2)).fill(1)];
  yield ["objects", Array<object>(Math.floor(bytes / 3)).fill({})];
  let nested: unknown[] = [];
  for (let depth = 0; depth < 2_000; depth++) nested = [nested];
  yield ["arrays in arrays", nested];
  const keys = Array.from({ length: Math.floor(bytes / 12) }, (_, i) => [`k${i}`, 1]);
  yield ["keys", Object.fromEntries(keys)];
}
