import { expect, test } from "bun:test";
import { isResting } from "./rest.ts";

const HOUR_MS = 3_600_000;
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
