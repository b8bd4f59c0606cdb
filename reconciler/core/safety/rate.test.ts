/** The learned failure rate: what was seen counts half after a fortnight, within its bounds. */
import { expect, test } from "bun:test";
import { configOnce, poolYaml } from "../../../test/world/setting.ts";
import { DAY_MS } from "../../../test/world/part.ts";
import { countFailure, rateOf } from "./rate.ts";

const { breaker } = configOnce(poolYaml(1)).safety;
const settings = { ...breaker, ratePrior: 5, rateMin: 1, rateMax: 50 };
const NOW = 1_000 * DAY_MS;
const seen = (failures: number, nodeDays: number, daysAgo = 0) => ({
  kind: "rate" as const,
  failures,
  nodeDays,
  at: NOW - daysAgo * DAY_MS,
});

test.each([
  ["nothing learned yet", null, 5],
  ["20 failures in 1,000 node-days", seen(20, 1_000), 20],
  ["3 failures in 2,000 node-days", seen(3, 2_000), 1.5],
  ["below the floor", seen(1, 10_000), 1],
  ["above the ceiling", seen(100, 1_000), 50],
  ["no exposure to divide by", seen(3, 0), 5],
  ["little exposure to divide by", seen(0.01, 0.5), 20],
])("rateOf() with %s", (_, rate, expected) => {
  expect(rateOf(rate, settings, 0, NOW)).toBeCloseTo(expected, 9);
});

test("rateOf() with a prior of its own bounds", () => {
  expect(rateOf(null, { ...settings, ratePrior: 12 }, 100, NOW)).toBeCloseTo(12, 9);
  expect(rateOf(null, { ...settings, rateMax: 3 }, 100, NOW)).toBe(3);
  expect(rateOf(null, { ...settings, rateMin: 8 }, 100, NOW)).toBe(8);
});

test("rateOf() falls as quiet time passes, and faster in a larger fleet", () => {
  // After 14 days half of both is left. 100 nodes add 100·14·(1 − ½)/ln 2 node-days meanwhile.
  const added = (nodes: number) => (nodes * 14 * 0.5) / Math.log(2);
  const after = (nodes: number) => rateOf(seen(20, 1_000, 14), settings, nodes, NOW);
  expect(after(0)).toBeCloseTo(20, 9);
  expect(after(100)).toBeCloseTo((10 / (500 + added(100))) * 1_000, 9);
  expect(after(200)).toBeCloseTo((10 / (500 + added(200))) * 1_000, 9);
  expect(rateOf(seen(20, 1_000, 28), settings, 0, NOW)).toBeCloseTo(20, 9);
});

test("a clock that was set back ages nothing", () => {
  expect(countFailure(seen(20, 1_000, -30), settings, 100, NOW)).toEqual({ ...seen(21, 1_000) });
});

test("countFailure() adds one to what has aged", () => {
  expect(countFailure(null, settings, 100, NOW)).toEqual(seen(6, 1_000));
  const next = countFailure(seen(20, 1_000, 14), settings, 100, NOW);
  expect(next).toMatchObject({ kind: "rate", at: NOW });
  expect(next.failures).toBeCloseTo(11, 9);
  expect(next.nodeDays).toBeCloseTo(500 + (100 * 7) / Math.log(2), 6);
});
