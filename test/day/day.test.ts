/** The day of demand in six hours, and that its judgement can fail. */
import { describe, expect, test } from "bun:test";
import { liveDay } from "./day.ts";
import { inferenceLoad, trainingJobs, WEATHER, weatherAt } from "./demand.ts";
import { formatChart, formatReport } from "./report.ts";

test("a squeezed day: no orphan, nothing bought twice, no overshoot, no wedge, money as billed", async () => {
  const day = await liveDay(6);
  expect(day.broken).toEqual([]);
  const { samples, dollars, unknownHours, calls } = day;
  expect(samples).toHaveLength(360);
  // It began with nothing, grew with the demand, and shrank again.
  expect(samples[0]?.pools.training.live).toBe(0);
  const peak = Math.max(...samples.map(({ pools }) => pools.inference.serving));
  expect(peak).toBeGreaterThan(10);
  expect(samples.at(-1)?.pools.inference.serving ?? peak).toBeLessThan(peak);
  // The weather was felt.
  expect(calls.lambda.rateLimited).toBeGreaterThan(5);
  expect(calls.gcp.rateLimited).toBeGreaterThan(5);
  expect(calls.lambda.failed).toBeGreaterThan(5);
  expect(day.replaced).toBeGreaterThan(0);
  // Counted as it was billed, across the turn of a month or not, within two percent.
  expect(dollars.counted / dollars.real).toBeCloseTo(1, 1);
  expect(unknownHours.counted / unknownHours.real).toBeCloseTo(1, 1);
  const [chart, report] = [formatChart(day), formatReport(day)];
  expect(chart.match(/<polyline/g)).toHaveLength(13);
  expect(chart).not.toContain("NaN");
  expect(report).toContain("No orphan");
  expect(formatReport({ ...day, broken: ["x"] })).toContain("**Broken:** x");
}, 120_000);

describe("the day", () => {
  test("asks for more than the least and less than the most of each pool", () => {
    const hours = Array.from({ length: 240 }, (_, i) => i / 10);
    const nodes = hours.map((hour) => trainingJobs(hour) / 8);
    expect(Math.min(...nodes)).toBeLessThan(2);
    expect(Math.max(...nodes)).toBeLessThan(20);
    const load = hours.map((hour) => inferenceLoad(hour) / 0.6);
    expect(Math.min(...load)).toBeLessThan(4);
    expect(Math.max(...load)).toBeLessThan(100);
  });

  test("has each trouble, and ends in fair weather", () => {
    const kinds = new Set(WEATHER.map(({ kind }) => kind));
    expect(kinds.size).toBe(5);
    expect(weatherAt(8)).toEqual([expect.objectContaining({ cloud: "lambda", kind: "stock-out" })]);
    expect(weatherAt(20)).toEqual([]);
  });
});
