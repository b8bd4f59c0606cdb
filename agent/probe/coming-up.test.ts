import { describe, expect, test } from "bun:test";
import { HOUR_MS, remembering, roundAt } from "../../test/fixture/nvml/probe-round.ts";
import { healthyCheck } from "../../test/fixture/nvml/fake.ts";
import type { NvmlAnswer, NvmlCheck, NvmlFailure, NvmlGpuCheck } from "../port/reading.ts";
import { isComingUp, isInstalling } from "./coming-up.ts";
import { EMPTY_MEMORY } from "./probe.ts";

const MINUTES = 60_000;
const failed = (reason: NvmlFailure["reason"]): NvmlAnswer<NvmlCheck> => {
  return { kind: "failed", failure: { reason, code: 1, message: "m" }, durationMs: 1 };
};

describe("isInstalling()", () => {
  const at = (answer: NvmlAnswer<NvmlCheck>, uptimeMs: number, driverVersion: string | null) =>
    isInstalling(answer, { driverVersion }, { uptimeMs });

  test.each([
    ["library", true],
    ["driver", true],
    ["version", false],
    ["permission", false],
    ["released", false],
    ["other", false],
  ] as const)("of a failure %s in the first ten minutes: %p", (reason, is) => {
    expect(at(failed(reason), 0, null)).toBe(is);
    expect(at(failed(reason), 10 * MINUTES - 1, null)).toBe(is);
    expect(at(failed(reason), 10 * MINUTES, null)).toBe(false);
    // A driver that was there and is gone is not the first one.
    expect(at(failed(reason), 0, "570.1")).toBe(false);
  });

  test("never of a driver that hangs, crashed or answers", () => {
    expect(at({ kind: "stuck", abandoned: 1 }, 0, null)).toBe(false);
    expect(at({ kind: "crashed", signal: "SIGSEGV", abandoned: 0 }, 0, null)).toBe(false);
    expect(at({ kind: "ok", value: healthyCheck(1), durationMs: 1 }, 0, null)).toBe(false);
  });
});

describe("isComingUp()", () => {
  const link = (state: number) => ({ link: 0, state, replay: 0, recovery: 0, crc: 0 });
  const at = (minutes: number, change: Partial<NvmlGpuCheck>, memory = EMPTY_MEMORY): boolean => {
    const uptimeMs = minutes * MINUTES;
    return isComingUp(healthyCheck(2, { 1: change }), memory, roundAt(HOUR_MS, { uptimeMs }));
  };
  const WAITS = { fabric: { state: 2, status: 0, healthMask: null, healthSummary: null } };
  const DARK = { nvlinks: [link(0)] };

  test("while a GPU has no link or no fabric, until the tenth minute", () => {
    for (const change of [WAITS, DARK]) {
      expect([0, 9, 10 - 1 / MINUTES].map((minutes) => at(minutes, change))).toEqual([
        true,
        true,
        true,
      ]);
      expect([10, 11].map((minutes) => at(minutes, change))).toEqual([false, false]);
    }
    expect(at(0, {})).toBe(false);
  });

  test("not for what is a fault already, or none at all", () => {
    const bad = { fabric: { state: 3, status: 0, healthMask: 1 << 4, healthSummary: 2 } };
    expect(at(1, bad)).toBe(false);
    // Too hot, and one link of many: none of both passes with time.
    expect(at(1, { temperatureCelsius: 120 })).toBe(false);
    expect(at(1, { nvlinks: [link(0), link(1)] })).toBe(false);
  });

  test("also once it had joined, although that has less time to come back", () => {
    const learned = { fabricJoined: true, fabricSinceMs: HOUR_MS };
    expect(at(1, WAITS, remembering(healthyCheck(2), learned))).toBe(true);
    expect(at(9, WAITS, remembering(healthyCheck(2), learned))).toBe(false);
  });
});
