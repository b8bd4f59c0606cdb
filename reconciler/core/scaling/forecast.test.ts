/** What the predictive autoscaler predicts, and what it says of it. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { predictive, reactive, sizeOf, snap } from "../../../test/world/autoscaler.ts";
import { fitOf, forecast, slopeOf } from "./forecast.ts";
import { recommend } from "./recommend.ts";

const MINUTE = 60_000;
const seen = (history: (number | null)[], utilization = history.at(-1) ?? 0) => ({
  history,
  utilization,
  intervalMs: 30_000,
});

describe("forecast()", () => {
  test.each([
    // Slope 2 a sample: 50 + 2 × 1 × 1.2, and with 15 minutes 30 samples: 50 + 2 × 30 × 1.2 = 122.
    ["one sample ahead", [44, 46, 48, 50], 30_000, 52.4, 1],
    ["never above 100", [44, 46, 48, 50], 15 * MINUTE, 100, 1],
    ["five minutes ahead", [44, 46, 48, 50], 5 * MINUTE, 74, 1],
    ["never below 0", [50, 30, 10], 5 * MINUTE, 0, 1],
    ["a flat line is certain", [60, 60, 60], 15 * MINUTE, 60, 1],
    // Covariance 0: the line explains nothing, and counts as flat.
    ["full nodes show no trend", [null, 60, 80], 15 * MINUTE, 80, 0],
    ["noise has no trend", [60, 70, 60, 70, 60], 15 * MINUTE, 60, 0],
  ])("%s", (_, history, horizonMs, utilization, confidence) => {
    const said = forecast(seen(history), horizonMs, 1.2);
    expect(said.utilization).toBeCloseTo(utilization, 9);
    expect(said.confidence).toBeCloseTo(confidence, 9);
    expect(said).toMatchObject({ horizonMs, samples: history.length });
  });

  test("the line is that of least squares: no other has smaller errors", () => {
    const values = fc.array(fc.double({ min: 0, max: 100, noNaN: true }), { minLength: 2 });
    fc.assert(
      fc.property(values, fc.double({ min: -1, max: 1, noNaN: true }), (list, off) => {
        const errorOf = (slope: number): number => {
          const middle = (list.length - 1) / 2;
          const mean = list.reduce((a, b) => a + b, 0) / list.length;
          return list.reduce((sum, y, x) => sum + (y - mean - slope * (x - middle)) ** 2, 0);
        };
        const best = slopeOf(list);
        expect(errorOf(best)).toBeLessThanOrEqual(errorOf(best + off) + 1e-6);
        expect(fitOf(list)).toBeGreaterThanOrEqual(0);
        expect(fitOf(list)).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe("recommend() predictive says what it predicts", () => {
  const ahead = { ...predictive(), horizonMs: 5 * MINUTE };
  const rising = { history: [50, 52, 54], utilization: 54 };

  test("value, horizon, samples and confidence, and buys for it", () => {
    const answer = recommend(ahead, snap(10, rising));
    // 54 + 2 × 10 × 1.2 = 78 is not above 80; 56 would be: ceil(10 × 80.4 / 70) = 12.
    expect(answer.because).toBe(
      "predicted GPU utilisation 78 % in 5m (3 samples, confidence 100 %) is not above 80 %",
    );
    const more = recommend(ahead, snap(10, { history: [52.4, 54.4, 56.4], utilization: 56.4 }));
    expect(more).toMatchObject({ kind: "size", nodes: 12, cause: "signal" });
    expect(more.because).toContain("predicted GPU utilisation 80.4 % in 5m");
  });

  test("what its fallback decides is said with the reason for it", () => {
    const both = { ...ahead, fallback: reactive() };
    const answer = recommend(both, snap(3, { history: [1], utilization: 90 }));
    expect(answer.because).toBe(
      "1 of 3 samples are there for a trend: GPU utilisation 90 % is above 80 %",
    );
    expect(sizeOf(both, snap(3, { history: [1], utilization: 90 }))).toBe(4);
  });

  test("more load on the same trend never means fewer nodes", () => {
    const load = fc.double({ min: 0, max: 100, noNaN: true });
    const three = fc.array(load, { minLength: 3, maxLength: 3 });
    const both = { ...ahead, fallback: reactive() };
    fc.assert(
      fc.property(three, load, load, fc.nat(20), (history, a, b, n) => {
        const sizeAt = (utilization: number) =>
          Number(sizeOf(both, snap(n + 1, { history, utilization })));
        expect(sizeAt(Math.max(a, b))).toBeGreaterThanOrEqual(sizeAt(Math.min(a, b)));
      }),
    );
  });

  test("it never shrinks, whatever the trend", () => {
    const load = fc.double({ min: 0, max: 100, noNaN: true });
    fc.assert(
      fc.property(fc.array(load, { minLength: 3, maxLength: 3 }), fc.nat(20), (history, n) => {
        const answer = recommend(ahead, snap(n + 1, { history, utilization: history[2] ?? 0 }));
        if (answer.kind === "size") expect(answer.nodes).toBeGreaterThanOrEqual(n + 1);
      }),
    );
  });
});
