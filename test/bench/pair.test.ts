import { expect, test } from "bun:test";
import { shown } from "./bench.ts";
import { formatRows, isWorse, medianOf, pairUp } from "./pair.ts";

const turn = (ours: number, base: number) => ({
  ours: [shown("reply p99", ours, "ms"), shown("reports", 10, "count"), shown("new", 1, "ms")],
  base: [shown("reply p99", base, "ms"), shown("reports", 20, "count")],
});

test("medianOf() of none, one, an even and an odd number", () => {
  expect([[], [3], [4, 2], [9, 1, 5]].map(medianOf)).toEqual([NaN, 3, 3, 5]);
});

test("pairUp() has a row for each cost that both have", () => {
  expect(pairUp([turn(10, 5), turn(12, 4), turn(3, 3)])).toEqual([
    { name: "reply p99", unit: "ms", ours: 10, base: 4, ratios: [2, 3, 1] },
  ]);
  expect(pairUp([])).toEqual([]);
});

test("pairUp() leaves out a turn in which a figure is not a number, and what describes the run", () => {
  const [row] = pairUp([turn(10, 0), turn(10, 5)]);
  expect(row?.ratios).toEqual([2]);
  const names = ["1000 stream: reply max", "generator CPU", "idle, window", "1000 stream: RSS max"];
  const figures = names.map((name) => shown(name, 1, "ms"));
  expect(pairUp([{ ours: figures, base: figures }]).map(({ name }) => name)).toEqual([
    "1000 stream: RSS max",
  ]);
});

test.each([
  [[1.2, 1.2, 1.2], true],
  [[1.2, 1.2, 0.9], false],
  [[1.09, 1.09, 1.09], false],
  [[0.5, 2, 1.3, 1.2], true],
  [[], false],
])("isWorse() of %p is %p", (ratios, worse) => {
  const row = { name: "a", unit: "ms" as const, ours: 1, base: 1, ratios };
  expect(isWorse(row)).toBe(worse);
  expect(formatRows([row]).includes("WORSE")).toBe(worse);
});
