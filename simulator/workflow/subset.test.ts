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
  expect(mismatches(live, { list: ["x"] }, "exact")).toEqual([
    "list: expected 1 items, found 2",
  ]);
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
