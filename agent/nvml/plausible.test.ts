import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { healthyCheck } from "../../test/fixture/nvml/fake.ts";
import { answerOf, HOUR_MS, remembering, roundAt } from "../../test/fixture/nvml/probe-round.ts";
import { runProbes } from "../probe/run.ts";
import type { NvmlGpuCheck } from "../port/reading.ts";
import { healthyGpu } from "./healthy.ts";
import { flagOf, plausible, plausibleBanks, plausibleFabric, plausibleLink } from "./plausible.ts";

const ONES = 0xffff_ffff;
/** All ones; of bytes, which are wider, in 60 bits. */
const onesOf = (name: string): number => (name.endsWith("Bytes") ? 2 ** 60 : ONES);
const APART = ["index", "rc", "openCode", "architecture"];
const NUMBERS = Object.entries(healthyGpu(0)).flatMap(([name, value]) =>
  typeof value === "number" && !APART.includes(name) ? [name] : [],
);
/** Limits are read once, with bounds of their own. */
const LIMITS = ["slowdownCelsius", "shutdownCelsius", "memoryMaxCelsius"];

describe("plausible()", () => {
  test("keeps a GPU that is well as it is", () => {
    expect(plausible(healthyGpu(0))).toEqual(healthyGpu(0));
  });

  test.each(NUMBERS.filter((name) => !LIMITS.includes(name)))("%s cannot be any number", (name) => {
    for (const wrong of [onesOf(name), -1_000, -ONES, 2 ** 60, Number.NaN]) {
      const read = plausible({ ...healthyGpu(0), [name]: wrong });
      const [, found] = Object.entries(read).find(([key]) => key === name) ?? [];
      expect([name, wrong, found]).toEqual([name, wrong, null]);
    }
  });

  test.each([255, 127, 126, -41, -128])("%p degrees are none", (celsius) => {
    const { temperatureCelsius } = plausible({ ...healthyGpu(0), temperatureCelsius: celsius });
    expect(temperatureCelsius).toBeNull();
  });

  test("of a device whose registers read as all ones nothing is judged", () => {
    const names = NUMBERS.filter((name) => !LIMITS.includes(name));
    const ones = Object.fromEntries(names.map((name) => [name, onesOf(name)]));
    const flag = flagOf(ONES);
    const flags = { remapPending: flag, remapFailure: flag, sramThresholdExceeded: flag };
    const links = healthyGpu(0).nvlinks?.map(({ link }) =>
      plausibleLink({ link, state: 255, replay: ONES, recovery: ONES, crc: ONES }),
    );
    const wrong = { state: 255, status: ONES, healthMask: ONES, healthSummary: 255 };
    const fabric = plausibleFabric(wrong);
    const banks = plausibleBanks({ max: ONES, high: ONES, partial: ONES, low: ONES, none: ONES });
    const more = { nvlinks: links ?? null, fabric, remapHistogram: banks };
    const dead = { ...plausible(ones), ...flags, ...more };
    const check = healthyCheck(8, { 3: dead });
    const round = runProbes(answerOf(check), remembering(check), roundAt(HOUR_MS));
    expect(round.findings.map(({ kind, reason }) => `${kind}/${reason}`)).toEqual([
      "driver/unread",
    ]);
    expect(round.conclusive).toBe(false);
  });

  test("never makes a reading up", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: false }), fc.constantFrom(...NUMBERS), (value, name) => {
        const given: Partial<NvmlGpuCheck> = { [name]: value };
        const read = plausible(given);
        return Object.values(read).every((one) => one === null || Object.is(one, value));
      }),
    );
  });
});

test("flagOf() knows two values", () => {
  expect([0, 1].map(flagOf)).toEqual([false, true]);
  for (const wrong of [2, ONES, -1, null, undefined]) expect(flagOf(wrong)).toBeNull();
});
