import { expect, test } from "bun:test";
import { nearest } from "./near.ts";

const imports = new Map([
  ["agent/a.ts", []],
  ["agent/a.test.ts", ["agent/a.ts"]],
  ["agent/b.ts", ["agent/a.ts"]],
  ["agent/b.test.ts", ["agent/b.ts"]],
  ["agent/other.test.ts", ["agent/other.ts"]],
  ["agent/other.ts", ["agent/b.ts"]],
  ["test/real/a.test.ts", ["agent/a.ts"]],
]);
const ofA = ["agent/a.test.ts", "agent/b.test.ts", "agent/other.test.ts"];

test.each<[string[], string[]]>([
  [["agent/a.ts"], ofA],
  [["agent/b.ts"], ofA.slice(1)],
  [
    ["agent/other.ts", "agent/a.ts"],
    ["agent/other.test.ts", "agent/a.test.ts", "agent/b.test.ts"],
  ],
  [["agent/b.test.ts"], ["agent/b.test.ts"]],
  [["README.md", "agent/gone.test.ts"], []],
])("a change of %p asks %p, the nearest first, and no heavy test", (changed, tests) => {
  expect(nearest(changed, imports, 10)).toEqual({ tests, left: 0 });
});

test("says how many more there are, and ends in a circle", () => {
  expect(nearest(["agent/a.ts"], imports, 1)).toEqual({ tests: ["agent/a.test.ts"], left: 2 });
  const circle = new Map([
    ["agent/a.ts", ["agent/b.ts"]],
    ["agent/b.ts", ["agent/a.ts"]],
    ["agent/b.test.ts", ["agent/b.ts"]],
  ]);
  expect(nearest(["agent/a.ts"], circle, 10).tests).toEqual(["agent/b.test.ts"]);
});
