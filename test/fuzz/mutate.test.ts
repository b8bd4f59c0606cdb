/** The generator of spoiled documents: what it makes can be written, however large it grows. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { fullReport } from "./document.ts";
import { mutate, type Mutation, mutations } from "./mutate.ts";
import { PATIENCE_MS, runs } from "./runs.ts";

/** Far below the longest text of the engine. */
const CHARS_MAX = 100_000_000;
const size = (document: unknown): number => JSON.stringify(document)?.length ?? 0;
const four = (how: Mutation["how"]): Mutation[] =>
  Array.from({ length: 4 }, () => ({ how, at: 0, other: 0, value: null }));

/** Above the limit of every input. */
const LARGE = 4 * 1024 * 1024;

test.each([
  ["a text", "x".repeat(3_000), LARGE],
  ["a text of escapes", "\u0000".repeat(3_000), LARGE],
  ["a list in lists", [[["x".repeat(3_000)]]], 900_000],
  ["an object", { a: "x".repeat(3_000), b: 1 }, 900_000],
])("mutate() grows %s four times to what can be written", (_, document, least) => {
  const grown = size(mutate(document, four("grow")));
  expect(grown).toBeGreaterThan(least);
  expect(grown).toBeLessThan(CHARS_MAX);
});

test("mutate() grows what is small by as much as it may", () => {
  const [once] = four("grow");
  if (once === undefined) throw new Error("nothing to do");
  expect(mutate("ab", [once])).toBe("ab".repeat(400));
  expect(mutate([1, 2], [once])).toEqual(Array.from({ length: 300 }, (_, i) => 1 + (i % 2)));
  expect(Object.keys(mutate({ a: 1 }, [once]) as object)).toHaveLength(300);
});

test(
  "mutate() makes of any mutations what can be written",
  () => {
    const document = fullReport("n1");
    fc.assert(
      fc.property(mutations, (all) => {
        expect(size(mutate(document, all))).toBeLessThan(CHARS_MAX);
      }),
      runs(300),
    );
  },
  PATIENCE_MS,
);
