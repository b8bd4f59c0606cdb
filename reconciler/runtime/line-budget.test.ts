/** How many lines of the log one subject may cause, and all of them together. */
import { expect, test } from "bun:test";
import { LineBudget } from "./line-budget.ts";

const open = (each = 2, all = 100) =>
  new LineBudget({ burst: each, perSecond: 0.1 }, { burst: all, perSecond: 1 });

test("take() gives a burst, says once that it is over, and gives again with time", () => {
  const budget = open();
  const take = (mono: number) => budget.take("n", mono);
  expect([take(0), take(0), take(0), take(0), take(9_999)]).toEqual([
    "yes",
    "yes",
    "first",
    "no",
    "no",
  ]);
  expect([take(10_000), take(10_001), take(10_002)]).toEqual(["yes", "first", "no"]);
  expect([take(60_000), take(60_000), take(60_000)]).toEqual(["yes", "yes", "first"]);
});

test("take() counts subjects apart, and bounds all of them together", () => {
  const budget = open(2, 3);
  expect([budget.take("a", 0), budget.take("a", 0), budget.take("a", 0)]).toEqual([
    "yes",
    "yes",
    "first",
  ]);
  expect([budget.take("b", 0), budget.take("b", 0), budget.take("c", 0)]).toEqual([
    "yes",
    "firstOfAll",
    "no",
  ]);
  expect(budget.take("c", 1_000)).toBe("yes");
});

test("take() takes a clock that stands still or goes back for no time at all", () => {
  const budget = open(1);
  expect([budget.take("n", 5_000), budget.take("n", 0), budget.take("n", 5_000)]).toEqual([
    "yes",
    "first",
    "no",
  ]);
});

test("size stays bounded: subjects that are quiet again are forgotten", () => {
  const budget = open(2, 1e9);
  for (let i = 0; i < 20_000; i++) budget.take(`n${i}`, i * 100);
  expect(budget.size).toBeLessThan(2_500);
});
