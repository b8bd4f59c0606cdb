import { describe, expect, test } from "bun:test";
import {
  HOUR_MS,
  lookWith,
  formatConditions,
  roundAt,
} from "../../test/fixture/nvml/probe-round.ts";
import { pcieProbe } from "./pcie.ts";

describe("pcieProbe", () => {
  test.each([
    [{ pcieWidth: 8 }, ["pcie/width warning 1"]],
    // The generation falls at idle, the width never does.
    [{ pcieGeneration: 1 }, []],
    [{ pcieGeneration: 1, utilizationPercent: 100 }, []],
    [{ pcieWidth: 0 }, []],
    [{ pcieWidthMax: null }, []],
  ])("judges %j", (change, said) => {
    expect(formatConditions(lookWith(pcieProbe, change).conditions)).toEqual(said);
  });

  test("judges the generation of a GPU at work, in its second round, until it is at its best", () => {
    const look = (change: object, slowRounds: number) => {
      const out = lookWith(pcieProbe, change, { slowRounds });
      const learned = Object.values(out.learned).map((gpu) => gpu.slowRounds);
      return [formatConditions(out.conditions), learned[1]];
    };
    const said = ["pcie/generation warning 1"];
    expect(look({ pcieGeneration: 1, utilizationPercent: 100 }, 0)).toEqual([[], 1]);
    expect(look({ pcieGeneration: 1, utilizationPercent: 100 }, 1)).toEqual([said, 2]);
    // At rest nothing new is learned, and a link that was slow at work is not yet well.
    expect(look({ pcieGeneration: 1, utilizationPercent: 0 }, 2)).toEqual([said, 2]);
    expect(look({ pcieGeneration: 1, utilizationPercent: null }, 1)).toEqual([[], 1]);
    expect(look({ pcieGeneration: 5, utilizationPercent: 100 }, 2)).toEqual([[], 0]);
    expect(look({ pcieGeneration: 1, pcieGenerationMax: null }, 2)).toEqual([[], 0]);
  });

  test("judges replays by what they grew within the hour", () => {
    const replay = { base: 50, sinceMs: HOUR_MS, grown: 0 };
    const at = (value: number) =>
      lookWith(pcieProbe, { pcieReplay: value }, { replay }, roundAt(HOUR_MS + 1)).conditions;
    expect(at(150)).toEqual([]);
    expect(at(151)[0]).toMatchObject({ reason: "replay", metrics: { replay_count: 101 } });
  });
});
