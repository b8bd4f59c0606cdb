import { describe, expect, test } from "bun:test";
import {
  HOUR_MS,
  lookWith,
  formatConditions,
  roundAt,
} from "../../test/fixture/nvml/probe-round.ts";
import { clockProbe } from "./clock.ts";

const NORMAL = 0x1 | 0x2 | 0x4 | 0x10 | 0x100;

describe("clockProbe", () => {
  test.each([
    [NORMAL, []],
    [0x8, ["throttle/hw_slowdown warning 1"]],
    [0x40, ["throttle/hw_thermal warning 1"]],
    [0x80, ["throttle/power_brake warning 1"]],
    // The general bit adds nothing to the one that says why.
    [0x8 | 0x40, ["throttle/hw_thermal warning 1"]],
    [
      0x8 | 0x40 | 0x80 | NORMAL,
      ["throttle/hw_thermal warning 1", "throttle/power_brake warning 1"],
    ],
  ])("judges reasons %p", (reasons, said) => {
    const out = lookWith(clockProbe, { throttleReasons: reasons });
    expect(formatConditions(out.conditions)).toEqual(said);
  });

  test("takes software thermal for a fault only after five minutes of it", () => {
    const since = HOUR_MS;
    const at = (monoMs: number) =>
      lookWith(
        clockProbe,
        { throttleReasons: 0x20 },
        { softThermalSinceMs: since },
        roundAt(monoMs),
      );
    expect(at(since + 299_000).conditions).toEqual([]);
    const [condition] = at(since + 300_000).conditions;
    expect(condition).toMatchObject({ reason: "sw_thermal", metrics: { seconds: 300 } });
  });

  test("forgets software thermal as soon as a round is without it", () => {
    const out = lookWith(clockProbe, { throttleReasons: 0x4 }, { softThermalSinceMs: 5 });
    expect(Object.values(out.learned).map((gpu) => gpu.softThermalSinceMs)).toEqual([null, null]);
  });
});
