/**
 * Valid documents with something wrong in them: a key dropped, misspelt or doubled, a value of
 * another type, size or place. Parsers meet such documents far more often than noise, and noise
 * never gets past the first check.
 */
import fc from "fast-check";

/** Values that have broken parsers: wrong types, ends of ranges, odd text, odd names. */
const ODD: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  -0,
  1e300,
  2 ** 53,
  5e-324,
  "",
  " ",
  "0",
  "-1",
  "1e9",
  "null",
  "\u0000",
  "\uD800",
  "a\nb\r\n# c",
  "\u001b[31m",
  "{{.Pool}}",
  "'; DROP TABLE node; --",
  "../../etc/passwd",
  "%s%n%00",
  "x".repeat(3_000),
  "é".repeat(300),
  "2026-01-01T00:00:00+01",
  "2026-02-31T23:59:59Z",
  "0000-01-01T00:00:00Z",
  "9999-12-31T23:59:59.999999999-23:59",
  "99999999h",
  "2500000000h",
  [],
  [null],
  [[[[[[]]]]]],
  {},
  { constructor: 1, toString: null },
  JSON.parse('{"__proto__": {"polluted": true}}'),
];

/** One odd value, or any JSON value. */
export const odd: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...ODD) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 60 }) },
);

const HOW = ["put", "put", "put", "drop", "rename", "add", "grow", "swap", "wrap"] as const;

export type Mutation = { how: (typeof HOW)[number]; at: number; other: number; value: unknown };

/** A few things to do to a document. */
export const mutations: fc.Arbitrary<Mutation[]> = fc.array(
  fc.record({
    how: fc.constantFrom(...HOW),
    at: fc.nat(100_000),
    other: fc.nat(100_000),
    value: odd,
  }),
  { minLength: 1, maxLength: 4 },
);

type Site = { owner: Record<string, unknown> | unknown[]; key: string };

function sitesOf(value: unknown, found: Site[] = []): Site[] {
  if (typeof value !== "object" || value === null) return found;
  const owner = value as Site["owner"];
  for (const key of Object.keys(owner)) {
    found.push({ owner, key });
    sitesOf(Reflect.get(owner, key), found);
  }
  return found;
}

/**
 * Characters of JSON that one step may grow a value to: beyond what any input may have (4 MiB), and
 * four steps together can still be written as one text.
 */
const GROWN_CHARS_MAX = 5_000_000;

/** How often the value may be repeated: `most`, or less for a large one. */
function timesOf(value: unknown, most: number): number {
  const size = JSON.stringify(value)?.length ?? 0;
  return Math.min(most, Math.max(1, Math.floor(GROWN_CHARS_MAX / (size + 1))));
}

function grown(value: unknown): unknown {
  if (typeof value === "string") return value.repeat(timesOf(value, 400));
  if (typeof value === "number") return value * 1e15;
  if (Array.isArray(value)) {
    const length = Math.min(300, Math.max(1, value.length) * timesOf(value, 300));
    return Array.from({ length }, (_, i) => value[i % value.length]);
  }
  if (typeof value !== "object" || value === null) return [value, value];
  const [first] = Object.values(value);
  return Object.fromEntries(
    Array.from({ length: timesOf(first, 300) }, (_, i) => [`key${i}`, first]),
  );
}

/** The document with everything done to it that the mutations say; the given one stays as it is. */
export function mutate(document: unknown, all: readonly Mutation[]): unknown {
  const root = { root: structuredClone(document) };
  for (const { how, at, other, value } of all) {
    const sites = sitesOf(root);
    const site = sites[at % sites.length];
    const twin = sites[other % sites.length];
    if (site === undefined || twin === undefined) break;
    const { owner, key } = site;
    const put = (what: unknown, name = key): void =>
      void Object.defineProperty(owner, name, {
        value: structuredClone(what),
        enumerable: true,
        writable: true,
        configurable: true,
      });
    const before: unknown = Reflect.get(owner, key);
    if (how === "put") put(value);
    else if (how === "grow") put(grown(before));
    else if (how === "wrap") put([before]);
    else if (how === "swap") put(Reflect.get(twin.owner, twin.key));
    else if (owner === root) continue;
    else if (how === "add") put(value, `${key}x`);
    else {
      Reflect.deleteProperty(owner, key);
      if (how === "rename") put(before, `${key.slice(0, -1)}q`);
    }
  }
  return root.root;
}
