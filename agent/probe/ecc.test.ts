import { describe, expect, test } from "bun:test";
import {
  HOUR_MS,
  lookWith,
  formatConditions,
  roundAt,
} from "../../test/fixture/nvml/probe-round.ts";
import { eccProbe } from "./ecc.ts";

const corrected = { base: 1_000, sinceMs: HOUR_MS, grown: 0 };
const soon = roundAt(HOUR_MS + 60_000);

describe("eccProbe", () => {
  test("judges uncorrected errors since the driver was loaded, not those of the board's life", () => {
    expect(lookWith(eccProbe, { eccUncorrectedAggregate: 7 }).conditions).toEqual([]);
    const out = lookWith(eccProbe, { eccUncorrectedVolatile: 2, eccUncorrectedAggregate: 9 });
    expect(formatConditions(out.conditions)).toEqual(["ecc/dbe fatal 1"]);
    expect(out.conditions[0]).toMatchObject({
      level: 2,
      metrics: { ecc_dbe_count: 2, volatile: 2, aggregate: 9 },
    });
  });

  test("judges corrected errors by what they grew within the hour", () => {
    const at = (value: number) =>
      lookWith(eccProbe, { eccCorrectedVolatile: value }, { corrected }, soon).conditions;
    expect(at(1_100)).toEqual([]);
    expect(formatConditions(at(1_101))).toEqual(["ecc/sbe warning 1"]);
    expect(at(1_101)[0]?.metrics).toMatchObject({
      ecc_sbe_count: 101,
      sbe_per_hour: 101,
      volatile: 1_101,
    });
  });

  test("says nothing of a large count that was there before the agent", () => {
    expect(lookWith(eccProbe, { eccCorrectedVolatile: 5_000_000 }).conditions).toEqual([]);
  });

  test("tells of the threshold at which the hardware is to be replaced", () => {
    const out = lookWith(eccProbe, { sramThresholdExceeded: true });
    expect(formatConditions(out.conditions)).toEqual(["ecc/sram_threshold fatal 1"]);
  });

  test("is not supported, and not well, when no GPU tells", () => {
    const none = { eccCorrectedVolatile: null, eccUncorrectedVolatile: null };
    const out = lookWith(eccProbe, none);
    expect(out).toMatchObject({ outcome: "ok", message: "not read on GPU 1" });
  });
});
