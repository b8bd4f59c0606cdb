/** When a smaller size counts. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { external, NOW, queue, reads, sizeOf, snap } from "../../../test/world/autoscaler.ts";
import { recommend } from "./recommend.ts";
import { stepSurplus, type Surplus } from "./surplus.ts";

describe("stepSurplus()", () => {
  test("falls after the time, to the most that was needed in it", () => {
    const first = stepSurplus(null, { to: 2, size: 9 }, 10, 0);
    expect(first).toEqual({ surplus: { since: 0, peak: 2 }, to: 2, isDue: false });
    const more = stepSurplus(first.surplus, { to: 5, size: 9 }, 10, 5);
    expect(more).toEqual({ surplus: { since: 0, peak: 5 }, to: 5, isDue: false });
    expect(stepSurplus(more.surplus, { to: 1, size: 9 }, 10, 9.5).isDue).toBe(false);
    expect(stepSurplus(more.surplus, { to: 1, size: 9 }, 10, 10)).toMatchObject({
      to: 5,
      isDue: true,
    });
  });

  test("begins again once all were needed", () => {
    expect(stepSurplus({ since: 0, peak: 2 }, { to: 9, size: 9 }, 10, 99).surplus).toBeNull();
    // The size was set lower meanwhile.
    const again = stepSurplus({ since: 0, peak: 5 }, { to: 1, size: 5 }, 10, 99);
    expect(again).toEqual({ surplus: { since: 99, peak: 1 }, to: 1, isDue: false });
  });

  test("never falls below what was needed in the last `afterMs`", () => {
    const needs = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(needs, fc.integer({ min: 0, max: 8 }), (all, after) => {
        let size = 12;
        let surplus: Surplus | null = null;
        for (const [now, to] of all.entries()) {
          const step = stepSurplus(surplus, { to, size }, after, now);
          surplus = step.surplus;
          if (to > size) size = to;
          else if (step.isDue) {
            const recent = all.slice(Math.max(0, now - after), now + 1);
            expect(step.to).toBeGreaterThanOrEqual(Math.min(size, Math.max(...recent)));
            size = step.to;
          }
        }
      }),
    );
  });
});

describe("recommend() waits for scale_down_after", () => {
  const patient = { ...queue(8), scaleDownAfterMs: 600_000 };
  const at = (depth: number, mono: number, surplus: Surplus | null) =>
    snap(9, {
      queueDepth: depth,
      mono,
      now: NOW + mono,
      surplus: new Map(surplus === null ? [] : [[patient, surplus]]),
    });

  test("a queue that is shorter for a moment gives nothing up, and says how long it waits", () => {
    const answer = recommend(patient, at(8, 90_000, { since: 0, peak: 3 }));
    expect(answer).toMatchObject({ kind: "size", nodes: 9 });
    expect(answer.because).toBe(
      "queue depth 8 at 8 a node; fewer for 1m30s of scale_down_after 10m",
    );
    expect(sizeOf(patient, at(8, 600_000, { since: 0, peak: 3 }))).toBe(3);
    expect(sizeOf(patient, at(80, 90_000, { since: 0, peak: 3 }))).toBe(10);
  });

  test("so does a number from outside; the floor and the ceiling wait for nothing", () => {
    const outside = external(null, { scaleDownAfterMs: 600_000 });
    expect(sizeOf(outside, reads(outside, 2, snap(9)))).toBe(9);
    expect(sizeOf(outside, reads(outside, 2, snap(9, { max: 4 })))).toBe(4);
    expect(sizeOf(outside, reads(outside, 0, snap(2, { min: 2 })))).toBe(2);
  });
});
