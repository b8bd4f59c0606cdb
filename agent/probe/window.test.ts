import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { WINDOW_MS, type Window, nextWindow } from "./window.ts";

describe("nextWindow()", () => {
  test("counts nothing at the first reading", () => {
    expect(nextWindow(null, 500, 7)).toEqual({ base: 500, sinceMs: 7, grown: 0 });
  });

  test("starts over when the counter or the clock went back", () => {
    const before = { base: 500, sinceMs: 7, grown: 20 };
    expect(nextWindow(before, 519, 8).grown).toBe(0);
    expect(nextWindow(before, 530, 6).grown).toBe(0);
  });

  test("grows with the counter until the hour is over, and keeps a counter that stands", () => {
    const before = { base: 500, sinceMs: 7_000, grown: 20 };
    expect(nextWindow(before, 530, 7_000)).toEqual({ ...before, grown: 30 });
    expect(nextWindow(before, 520, 8_000)).toEqual(before);
    const last = 7_000 + 60 * 60_000 - 1;
    expect(nextWindow(before, 530, last)).toEqual({ ...before, grown: 30 });
    expect(nextWindow(before, 530, last + 1)).toEqual({ base: 520, sinceMs: last + 1, grown: 10 });
    expect(nextWindow(before, 519, last)).toEqual({ base: 519, sinceMs: last, grown: 0 });
    expect(nextWindow(before, 530, 6_999)).toEqual({ base: 530, sinceMs: 6_999, grown: 0 });
  });

  test("hands the step across the border on to the next hour", () => {
    const before = { base: 500, sinceMs: 0, grown: 20 };
    expect(nextWindow(before, 620, WINDOW_MS)).toEqual({
      base: 520,
      sinceMs: WINDOW_MS,
      grown: 100,
    });
  });

  test("never grows less than nothing, nor more than the counter did", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(10_000), fc.nat(WINDOW_MS))), (steps) => {
        let window: Window | null = null;
        let monoMs = 0;
        let least = Number.POSITIVE_INFINITY;
        for (const [value, ms] of steps) {
          monoMs += ms;
          least = Math.min(least, value);
          window = nextWindow(window, value, monoMs);
          expect(window.grown).toBeGreaterThanOrEqual(0);
          expect(window.grown).toBeLessThanOrEqual(value - least);
        }
      }),
    );
  });
});
