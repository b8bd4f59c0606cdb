import { expect, test } from "bun:test";
import fc from "fast-check";
import { mismatches } from "./subset.ts";

test("W27: maps recurse, null wants absence, numbers compare by value, types must agree", () => {
  const live = {
    metadata: { labels: { a: "1" }, annotations: null },
    spec: { replicas: 3, unschedulable: true, list: [{ a: 1, b: 2 }, "x"] },
  };
  expect(mismatches(live, { spec: { replicas: 3n, unschedulable: true } })).toEqual([]);
  expect(mismatches(live, { metadata: { annotations: null }, status: null })).toEqual([]);
  expect(mismatches(live, { spec: { list: [] } })).toEqual([]);
  expect(mismatches(live, { metadata: { labels: { a: 1, b: "2" } } })).toEqual([
    'metadata.labels.a: expected 1, found "1"',
    'metadata.labels.b: expected "2", found nothing',
  ]);
  expect(mismatches(live, { spec: { unschedulable: null, replicas: {}, list: {} } })).toEqual([
    "spec.unschedulable: expected nothing, found true",
    "spec.replicas: expected a map, found 3",
    'spec.list: expected a map, found [{"a":1,"b":2},"x"]',
  ]);
  expect(mismatches(live, { spec: [] })[0]).toStartWith("spec: expected a list, found {");
});

test("W27: lists are compared where it is asked for", () => {
  const live = { list: [{ a: 1, b: 2 }, "x"] };
  expect(mismatches(live, { list: [{ a: 1 }, "x"] }, "exact")).toEqual([]);
  expect(mismatches(live, { list: ["x", { b: 2 }] }, "subset")).toEqual([]);
  expect(mismatches(live, { list: ["x"] }, "exact")).toEqual(["list: expected 1 items, found 2"]);
  expect(mismatches(live, { list: [{ a: 2 }, "x"] }, "exact")).toEqual([
    "list[0].a: expected 2, found 1",
  ]);
  expect(mismatches(live, { list: ["y"] }, "subset")).toEqual([
    'list: no item like "y" (item 0 of the wanted list)',
  ]);
});

test("W27: any two values compare without a crash, and a value has itself", () => {
  const value = fc.anything({ withBigInt: true, maxDepth: 3 });
  fc.assert(
    fc.property(value, value, fc.constantFrom(null, "exact", "subset"), (a, b, lists) => {
      mismatches(a, b, lists as never);
    }),
  );
  fc.assert(
    fc.property(fc.jsonValue(), (one) => {
      const same: unknown = JSON.parse(JSON.stringify(one));
      expect(mismatches(one, same, "exact")).toEqual([]);
    }),
  );
});

test.each([
  [{ a: 1, b: 2 }, { a: 1 }, true],
  [{ a: 1 }, { a: 1.0 }, true],
  [{ a: 3 }, { a: 3n }, true],
  [{ a: 9_007_199_254_740_992 }, { a: 9_007_199_254_740_993n }, true],
  [{ a: 1.5 }, { a: 1 }, false],
  [{ a: "1" }, { a: 1 }, false],
  [{ a: 1 }, { a: "1" }, false],
  [{ a: true }, { a: "true" }, false],
  [{ a: 1 }, { a: true }, false],
  [{}, { a: null }, true],
  [{ a: null }, { a: null }, true],
  [{ a: 0 }, { a: null }, false],
  [{ a: "" }, { a: null }, false],
  [{}, { a: { b: null } }, true],
  [{}, { a: { b: 1 } }, false],
  [{}, { a: {} }, false],
  [{ a: {} }, { a: {} }, true],
  [{ a: [] }, { a: {} }, false],
  [{ a: {} }, { a: [] }, false],
  [{ a: "x" }, { a: { length: 1 } }, false],
  [{ a: [1] }, { a: [2, 3] }, true],
  [{ a: null }, { a: [2] }, false],
  [{}, { constructor: null }, true],
  [{}, { toString: {} }, false],
  ["text", { a: 1 }, false],
  [null, { a: 1 }, false],
])("W27: %p has the state %p: %p", (live, wanted, expected) => {
  expect(mismatches(live, wanted).length === 0).toBe(expected);
});

test("W27: a key that is taken out of an object no longer matches its state", () => {
  const map = fc.dictionary(fc.string({ minLength: 1 }), fc.integer(), { minKeys: 1 });
  fc.assert(
    fc.property(map, (wanted) => {
      const [key = ""] = Object.keys(wanted);
      const { [key]: _, ...rest } = wanted;
      expect(mismatches({ more: 1, ...wanted }, wanted)).toEqual([]);
      expect(mismatches(rest, wanted)).toHaveLength(1);
      expect(mismatches(rest, { [key]: null })).toEqual([]);
    }),
  );
});
