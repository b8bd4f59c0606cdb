import { describe, expect, test } from "bun:test";
import { lookWith, formatConditions } from "../../test/fixture/nvml/probe-round.ts";
import { remapProbe } from "./remap.ts";

const NONE = { max: 2_560, high: 0, partial: 0, low: 0, none: 0 };

describe("remapProbe", () => {
  test.each([
    [{ remapPending: true }, ["remap/pending serious 1"]],
    [{ remapFailure: true }, ["remap/failure fatal 1"]],
    [
      { remapFailure: true, remapPending: true },
      ["remap/failure fatal 1", "remap/pending serious 1"],
    ],
    // Ampere and later use rows; before, pages.
    [{ remapPending: null, retiredPending: true }, ["remap/pending serious 1"]],
    [{ retiredSbe: 40, retiredDbe: 19 }, []],
    [{ retiredSbe: 40, retiredDbe: 20 }, ["remap/retired_pages serious 1"]],
    [{ remapHistogram: { ...NONE, high: 3, partial: 2 } }, []],
    [{ remapHistogram: { ...NONE, low: 1 } }, ["remap/spare_low warning 1"]],
    [{ remapHistogram: { ...NONE, low: 2, none: 2 } }, ["remap/spare_low warning 1"]],
    // Rows remapped long ago are history.
    [{ remappedCorrectable: 4, remappedUncorrectable: 2 }, []],
  ])("judges %j", (change, said) => {
    expect(formatConditions(lookWith(remapProbe, change).conditions)).toEqual(said);
  });

  test("finds a bank without spare rows worse than one with few", () => {
    const level = (low: number, none: number) =>
      lookWith(remapProbe, { remapHistogram: { ...NONE, low, none } }).conditions[0]?.level ?? 0;
    expect(level(0, 1)).toBeGreaterThan(level(1, 0));
  });

  test("says that it could not look when MIG hides the rows", () => {
    const out = lookWith(remapProbe, { migEnabled: true, remapPending: null, remapFailure: null });
    expect(out).toMatchObject({ conditions: [], message: "not read on GPU 1" });
  });
});
