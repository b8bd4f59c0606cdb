/** How the loop rests: at once after a fault, a quarter of a core in the long run. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Pace } from "./pace.ts";

/** Activations of these lengths one after the other, each as soon as it may be. */
function run(lengths: readonly number[]): { rests: number[]; shareMs: number; wallMs: number } {
  const pace = new Pace(0);
  const rests: number[] = [];
  let [mono, busyMs] = [0, 0];
  for (const ms of lengths) {
    const begun = mono;
    mono += ms;
    busyMs += ms;
    const rest = pace.restMs(begun, mono);
    rests.push(rest);
    mono += rest;
  }
  return { rests, shareMs: busyMs, wallMs: mono };
}

describe("Pace", () => {
  test("restMs() is nothing for the few activations that follow a fault", () => {
    expect(run([25, 25, 25]).rests).toEqual([0, 0, 0]);
  });

  test("restMs() is three times the work once what was saved up is spent", () => {
    const { rests } = run(Array.from({ length: 40 }, () => 25));
    expect(rests.at(-1)).toBeCloseTo(75);
  });

  test("restMs() saves up again while nothing happens, and no more than once", () => {
    const pace = new Pace(0);
    expect(pace.restMs(0, 400)).toBe(250);
    expect(pace.restMs(3_600_000, 3_600_250)).toBe(0);
    expect(pace.restMs(3_600_250, 3_600_350)).toBe(250);
  });

  test("restMs() is bounded, and activations take a quarter of a core and one saving at most", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 80 }), { maxLength: 200 }), (lengths) => {
        const { rests, shareMs, wallMs } = run(lengths);
        expect(Math.max(0, ...rests)).toBeLessThanOrEqual(250);
        // Work of up to 80 ms never meets the bound of the rest, where debt is forgotten.
        expect(shareMs).toBeLessThanOrEqual(wallMs / 4 + 250 + 80);
      }),
    );
  });
});
