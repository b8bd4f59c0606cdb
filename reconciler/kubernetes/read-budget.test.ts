import { expect, test } from "bun:test";
import fc from "fast-check";
import { readBudget } from "./budget-watch.ts";

const metadata = { namespace: "ns", name: "web", uid: "u-1", resourceVersion: "7" };

test("readBudget() reads what it grants now", () => {
  const status = { disruptionsAllowed: 2, currentHealthy: 5 };
  expect(readBudget({ metadata, status })).toEqual({ ...metadata, allowed: 2 });
});

test.each([
  ["no status yet", undefined],
  ["a count that is none", { disruptionsAllowed: "many" }],
  ["a negative count", { disruptionsAllowed: -1 }],
])("readBudget() takes %s for nothing granted", (_, status) => {
  expect(readBudget({ metadata, status })?.allowed).toBe(0);
});

test("readBudget() takes what has no name, namespace or UID for nobody, and never throws", () => {
  for (const key of Object.keys(metadata).slice(0, 3)) {
    expect(readBudget({ metadata: { ...metadata, [key]: undefined } })).toBeNull();
  }
  fc.assert(fc.property(fc.anything(), (json) => void readBudget(json)));
});
