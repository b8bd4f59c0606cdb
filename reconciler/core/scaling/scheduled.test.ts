/** Cron expressions and zones, beside the answers of another program (cronsim). */
import { describe, expect, test } from "bun:test";
import vectors from "../../../test/fixture/scaling/cron.json";
import { scheduled, sizeOf, snap, window } from "../../../test/world/autoscaler.ts";
import { cronProblem, nextOf } from "./cron.ts";
import { windowAt } from "./scheduled.ts";

const MINUTE = 60_000;

/** cronsim leaves out an instant that exists: the 06:00 after Lord Howe's change of half an hour. */
const CRONSIM_SKIPS = ["2026-04-04T00:00", "2026-10-03T00:00"].map(
  (start) => `Australia/Lord_Howe 0 */6 * * * ${start}`,
);

describe("nextOf()", () => {
  test("finds the instants that cronsim finds, around every change of the clocks", () => {
    let compared = 0;
    for (const [zone, expression, start, steps] of vectors.rows as [
      string,
      string,
      string,
      number[],
    ][]) {
      const name = `${zone} ${expression} ${start}`;
      if (CRONSIM_SKIPS.includes(name)) continue;
      let at = Date.parse(`${start}Z`);
      const found = steps.map(() => {
        const next = nextOf(expression, zone, at) ?? Number.NaN;
        const minutes = (next - at) / MINUTE;
        at = next;
        return minutes;
      });
      expect({ name, found }).toEqual({ name, found: steps });
      compared += steps.length;
    }
    expect(compared).toBeGreaterThan(1_500);
  });

  test("is after its instant, to the millisecond", () => {
    const eight = Date.parse("2026-01-05T08:00:00Z");
    expect(nextOf("0 8 * * *", "UTC", eight - 1)).toBe(eight);
    expect(nextOf("0 8 * * *", "UTC", eight)).toBe(eight + 86_400_000);
  });
});

describe("cronProblem()", () => {
  test.each(["0 8 * * mon-fri", "*/15 * * * *", "0 0 29 2 *", "0 0 L * *", "0 8 * * 1#2"])(
    "takes %s",
    (text) => expect(cronProblem(text)).toBeNull(),
  );
  test.each([
    ["", "five fields"],
    ["@daily", "five fields"],
    ["0 0 8 * * *", "five fields"],
    ["0 8 * * +1", "five fields"],
    ["61 * * * *", "minute: 61"],
    ["0 8 * * funday", "illegal"],
    ["0 0 31 2 *", "no date matches it"],
  ])("refuses %p: %s", (text, why) => expect(cronProblem(text)).toContain(why));
});

describe("windowAt() with cron", () => {
  const nightly = (cron: string, hours: number, zone = "Europe/Oslo") =>
    scheduled([{ ...window("0:00", "0:00"), days: [], cron, durationMs: hours * 3_600_000 }], zone);
  const isOpen = (autoscaler: ReturnType<typeof nightly>, at: string): boolean =>
    windowAt(autoscaler, Date.parse(at)) !== null;

  test("over midnight and the week's end: Friday 22:00 for ten hours", () => {
    const friday = nightly("0 22 * * fri", 10);
    expect(isOpen(friday, "2026-01-09T20:59:59Z")).toBe(false);
    expect(isOpen(friday, "2026-01-09T21:00:00Z")).toBe(true);
    expect(isOpen(friday, "2026-01-10T06:59:59Z")).toBe(true);
    expect(isOpen(friday, "2026-01-10T07:00:00Z")).toBe(false);
    expect(isOpen(friday, "2026-01-10T21:00:00Z")).toBe(false);
  });

  test("it opens by the wall clock and lasts its elapsed time, at both changes of the clocks", () => {
    const night = nightly("0 22 * * *", 10);
    // Spring: the night of 28 March 2026 has an hour less, so the window ends at 09:00 local.
    expect(isOpen(night, "2026-03-28T21:00:00Z")).toBe(true);
    expect(isOpen(night, "2026-03-29T06:59:59Z")).toBe(true);
    expect(isOpen(night, "2026-03-29T07:00:00Z")).toBe(false);
    // Autumn: it has an hour more, and the window ends at 07:00 local.
    expect(isOpen(night, "2026-10-24T20:00:00Z")).toBe(true);
    expect(isOpen(night, "2026-10-25T06:00:00Z")).toBe(false);
  });

  test("a window longer than its period is always open, and 29 February opens", () => {
    expect(isOpen(nightly("0 * * * *", 2), "2026-05-05T05:55:00Z")).toBe(true);
    const leap = nightly("0 0 29 2 *", 24, "UTC");
    expect(isOpen(leap, "2028-02-29T23:59:00Z")).toBe(true);
    expect(isOpen(leap, "2027-03-01T00:00:00Z")).toBe(false);
  });

  test("its bounds and its words are those of a window", () => {
    const open = nightly("0 12 * * *", 1, "UTC");
    expect(sizeOf(open, snap(2))).toBe(4);
    expect(sizeOf(open, snap(9))).toBe(8);
  });
});
