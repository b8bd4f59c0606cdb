import { expect, test } from "bun:test";
import { isInstant, parseInstant } from "./instant.ts";

test.each([
  ["2026-11-23T12:00:00Z", Date.UTC(2026, 10, 23, 12)],
  ["2026-11-23T12:00:00.123456Z", Date.UTC(2026, 10, 23, 12, 0, 0, 123)],
  ["2026-11-23T04:00:00.000-08:00", Date.UTC(2026, 10, 23, 12)],
])("parseInstant(%p)", (text, ms) => {
  expect(parseInstant(text)).toBe(ms);
});

// Each but the last two is a time to the engine, some of them in this machine's zone.
test.each([
  ...["x 1", "1", "2026", "2026-11-23", "Nov 23 2026", "2026-11-23 12:00", "2026-11-23T12:00:00"],
  ...["275760-09-13", "2026-01-01T00:00:00+01", "2026-13-01T00:00:00Z", ""],
])("parseInstant(%p) is none", (text) => {
  expect(parseInstant(text)).toBeNaN();
  expect(isInstant(text)).toBe(false);
});
