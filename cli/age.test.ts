import { describe, expect, test } from "bun:test";
import { formatAge, formatTime } from "./age.ts";

const NOW = Date.UTC(2026, 2, 1, 12);
const ago = (seconds: number) => formatAge(new Date(NOW - seconds * 1_000).toISOString(), NOW);

describe("formatAge()", () => {
  test.each([
    [0, "0s ago"],
    [12, "12s ago"],
    [59.9, "59s ago"],
    [60, "1m ago"],
    [3_599, "59m ago"],
    [3_600, "1h ago"],
    [86_399, "23h ago"],
    [4 * 86_400, "4d ago"],
    [-30, "0s ago"],
  ])("prints %p seconds", (seconds, text) => {
    expect(ago(seconds)).toBe(text);
  });

  test("says Never for a node that was never heard, not 292 years", () => {
    expect(formatAge(null, NOW)).toBe("Never");
    expect(formatAge(undefined, NOW)).toBe("Never");
    expect(formatAge("soon", NOW)).toBe("Unknown");
  });
});

test("formatTime() drops milliseconds", () => {
  expect(formatTime("2026-03-01T12:00:00.123Z")).toBe("2026-03-01T12:00:00Z");
  expect(formatTime(null)).toBe("");
});
