import { expect, test } from "bun:test";
import fc from "fast-check";
import { MILLIS_MAX, waitMs } from "../../../schema/millis.ts";
import { backoffMs, isResting, OPEN_MAX_MS, patience, spreadMs } from "./backoff.ts";

const HOUR_MS = 3_600_000;

test.each([
  ["nothing was said", null, undefined, null],
  ["no wait at all", 0, undefined, 0],
  ["a day, where a rest may last six hours", 24 * HOUR_MS, undefined, 6 * HOUR_MS],
  ["six hours to the millisecond", 6 * HOUR_MS, undefined, 6 * HOUR_MS],
  ["one millisecond less", 6 * HOUR_MS - 1, undefined, 6 * HOUR_MS - 1],
  ["an hour, where an open ask may rest for ten minutes", HOUR_MS, OPEN_MAX_MS, 600_000],
  ["nothing about an open ask", null, OPEN_MAX_MS, null],
  ["infinitely long", Number.POSITIVE_INFINITY, undefined, 6 * HOUR_MS],
])("patience() where a cloud asked for %s", (_what, asked, max, expected) => {
  const waited = patience(asked === null ? null : waitMs(asked), max);
  expect<number | null>(waited).toBe(expected);
});

const NOW = 100 * HOUR_MS;

test.each([
  [NOW - 1, undefined, false],
  [NOW, undefined, false],
  [NOW + 1, undefined, true],
  [NOW + 6 * HOUR_MS, undefined, true],
  // Left by a clock that was set back: no rest is that long.
  [NOW + 6 * HOUR_MS + 1, undefined, false],
  [NOW + 50, 50, true],
  [NOW + 51, 50, false],
])("a rest until %d of at most %p holds: %p", (notBefore, mostMs, holds) => {
  expect(isResting(notBefore, NOW, mostMs)).toBe(holds);
});

const pause = fc.record({
  firstMs: fc.integer({ min: 1, max: HOUR_MS }),
  maxMs: fc.oneof(fc.integer({ min: 1, max: 24 * HOUR_MS }), fc.constant(Number.POSITIVE_INFINITY)),
});
const tries = fc.integer({ min: 0, max: 10_000 });

test("backoffMs() begins with its first pause, doubles it, and stays at its longest", () => {
  fc.assert(
    fc.property(pause, tries, ({ firstMs, maxMs }, n) => {
      const at = (count: number): number => backoffMs(count, firstMs, maxMs);
      expect(at(1)).toBe(Math.min(firstMs, maxMs));
      expect(at(n)).toBeGreaterThanOrEqual(at(1));
      expect(at(n)).toBeLessThanOrEqual(Math.min(maxMs, MILLIS_MAX));
      expect(Number.isSafeInteger(at(n))).toBe(true);
      if (n > 0 && n < 30) expect(at(n + 1)).toBe(Math.min(2 * at(n), maxMs, MILLIS_MAX));
      if (n > 31) expect(at(n)).toBe(at(31));
    }),
  );
});

test("spreadMs() stays within its share, in the middle by the middle roll", () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  const roll = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: HOUR_MS }), share, roll, (ms, part, at) => {
      const spread = spreadMs(ms, part, at);
      expect(spread).toBeGreaterThanOrEqual(ms * (1 - part) - 1e-6);
      expect(spread).toBeLessThanOrEqual(ms * (1 + part) + 1e-6);
      expect(spreadMs(ms, part, 0.5)).toBe(ms);
    }),
  );
});
