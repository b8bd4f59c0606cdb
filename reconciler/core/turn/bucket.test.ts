/** A token bucket, judged by the turns that it gives in any span of time. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Bucket } from "./bucket.ts";

const rate = fc.record({
  perSecond: fc.double({ min: 0.01, max: 1_000, noNaN: true }),
  burst: fc.integer({ min: 1, max: 100 }),
});
const gaps = fc.array(fc.integer({ min: 0, max: 5_000 }), { minLength: 1, maxLength: 200 });

test("no span of time has more turns than the burst and what flowed back in it", () => {
  fc.assert(
    fc.property(rate, gaps, (given, pauses) => {
      const bucket = new Bucket(given);
      const turns: number[] = [];
      let mono = 0;
      for (const pauseMs of pauses) {
        mono += pauseMs;
        if (bucket.reserve(mono, 0) !== null) turns.push(mono);
      }
      for (const [i, from] of turns.entries()) {
        const flown = ((mono - from) / 1_000) * given.perSecond;
        expect(turns.length - i).toBeLessThanOrEqual(given.burst + flown + 1e-3);
      }
    }),
  );
});

test("reserve() keeps the order of its callers, and spaces them by the rate", () => {
  fc.assert(
    fc.property(rate, gaps, (given, pauses) => {
      const bucket = new Bucket(given);
      let mono = 0;
      const at = pauses.map((pauseMs) => {
        mono += pauseMs;
        return mono + (bucket.reserve(mono, Number.POSITIVE_INFINITY) ?? 0);
      });
      for (const [i, turn] of at.entries()) {
        if (i > 0) expect(turn).toBeGreaterThanOrEqual((at[i - 1] ?? 0) - 1);
        const before = at[i - given.burst];
        if (before === undefined) continue;
        // Each wait is rounded up to a whole millisecond.
        expect(turn - before).toBeGreaterThanOrEqual(1_000 / given.perSecond - 1);
      }
    }),
  );
});

test("waitMs() is what is needed: after it there is a turn, and not two milliseconds before", () => {
  const spent = fc.integer({ min: 0, max: 300 });
  fc.assert(
    fc.property(rate, spent, fc.integer({ min: 0, max: 10_000 }), (given, turns, mono) => {
      const bucket = new Bucket(given);
      if (turns > 0) bucket.spend(mono, turns);
      expect(bucket.left(mono)).toBeCloseTo(given.burst - turns, 6);
      expect(bucket.isFull(mono)).toBe(turns === 0);
      const wait = bucket.waitMs(mono);
      expect(bucket.left(mono + wait)).toBeGreaterThanOrEqual(1 - 1e-6);
      if (wait > 2) expect(bucket.left(mono + wait - 2)).toBeLessThan(1);
    }),
  );
});

test("set() keeps what is left, up to the new burst", () => {
  fc.assert(
    fc.property(rate, rate, fc.integer({ min: 0, max: 100 }), (before, after, turns) => {
      const bucket = new Bucket(before);
      bucket.spend(0, turns);
      bucket.set(after, 0);
      expect(bucket.left(0)).toBeCloseTo(Math.min(before.burst - turns, after.burst), 6);
      expect(bucket.perSecond).toBe(after.perSecond);
    }),
  );
});

test("an infinite rate is no limit", () => {
  const bucket = new Bucket({ perSecond: Number.POSITIVE_INFINITY, burst: 1 });
  for (let i = 0; i < 10; i++) expect(bucket.reserve(5, 0)).toBe(0 as never);
  expect([bucket.left(5), bucket.isFull(5)]).toEqual([1, true]);
});
