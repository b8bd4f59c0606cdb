import { waitMs } from "../../../schema/millis.ts";
import { expect, test } from "bun:test";
import { isResting, OPEN_MAX_MS, patience } from "./backoff.ts";

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
