/**
 * Arbitrary documents that a valibot schema accepts, made from the schema itself, with the
 * values that break stores: numbers at and beyond their bounds, infinities, negative zero, lone
 * surrogates, NUL, `__proto__` as a key.
 */
import fc from "fast-check";
import * as v from "valibot";

const NUMBERS = [
  0,
  -0,
  1,
  -1,
  0.5,
  63,
  1_000_000,
  2 ** 31,
  2 ** 53 - 1,
  2 ** 53,
  2 ** 53 + 2,
  -(2 ** 53) - 2,
  8_640_000_000_000_000,
  8_640_000_000_000_001,
  1e300,
  1e999,
  -1e999,
  Number.NaN,
  5e-324,
];
const TEXTS = [
  "",
  "a",
  "n-1",
  "p",
  "2026-01-01T00:00:00Z",
  "0000-01-01T00:00:00Z",
  "9999-12-31T23:59:59.999Z",
  "\uD800",
  "a\uDC00b",
  "\u0000",
  "a\u0000b",
  "\u202E",
  "\u001b[31m",
  "__proto__",
  "constructor",
  "é".repeat(40),
  "0000:18:00.0",
  "nvj.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];
const number = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...NUMBERS) },
  { weight: 2, arbitrary: fc.nat(1_000) },
  { weight: 1, arbitrary: fc.double() },
);
const text = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...TEXTS) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 12 }) },
);
const ITEMS_MAX = 3;

type Schema = v.GenericSchema & Record<string, unknown>;

/**
 * What the schema accepts, as it comes in. Parts are filtered one by one, because a document of
 * thirty fields would hardly ever be right by chance.
 */
export function arbitraryOf(schema: v.GenericSchema): fc.Arbitrary<unknown> {
  return likely(schema as Schema).filter((raw) => v.safeParse(schema, raw).success);
}

/** Throws for a kind of schema that it does not know, so that a new one is not passed over. */
function likely(schema: Schema): fc.Arbitrary<unknown> {
  const inner = (key: string) => arbitraryOf(schema[key] as v.GenericSchema);
  switch (schema.type) {
    case "string":
      return stringOf(schema);
    case "number":
      return number;
    case "boolean":
      return fc.boolean();
    case "unknown":
      return fc.jsonValue({ maxDepth: 2 });
    case "null":
      return fc.constant(null);
    case "literal":
      return fc.constant(schema["literal"]);
    case "picklist":
      return fc.constantFrom(...(schema["options"] as unknown[]));
    case "array":
      return fc.array(inner("item"), { maxLength: ITEMS_MAX });
    case "record":
      return fc
        .array(fc.tuple(inner("key"), inner("value")), { maxLength: ITEMS_MAX })
        .map((entries) => Object.fromEntries(entries));
    case "object":
    case "strict_object":
    case "loose_object":
      return objectOf(schema["entries"] as Record<string, v.GenericSchema>);
    case "optional":
    case "exact_optional":
      return fc.oneof(inner("wrapped"), fc.constant(undefined));
    case "nullable":
      return fc.oneof(inner("wrapped"), fc.constant(null));
    case "nullish":
      return fc.oneof(inner("wrapped"), fc.constantFrom(null, undefined));
    case "union":
    case "variant":
      return fc.oneof(...(schema["options"] as v.GenericSchema[]).map(arbitraryOf));
    default:
      throw new Error(`no documents are made for a schema of type ${schema.type}`);
  }
}

function objectOf(entries: Record<string, v.GenericSchema>): fc.Arbitrary<unknown> {
  return fc.record(
    Object.fromEntries(Object.entries(entries).map(([key, one]) => [key, arbitraryOf(one)])),
  );
}

/** Text by the pattern that the schema asks for, where it asks for one. */
function stringOf(schema: Schema): fc.Arbitrary<unknown> {
  const pipe = (schema["pipe"] ?? []) as Record<string, unknown>[];
  const pattern = pipe.map((step) => step["requirement"]).find((one) => one instanceof RegExp);
  if (pattern === undefined) return text;
  return fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom(...TEXTS) },
    { weight: 6, arbitrary: fc.stringMatching(pattern, { maxLength: 20 }) },
  );
}
