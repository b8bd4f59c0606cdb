import { describe, expect, test } from "bun:test";
import {
  HOUR_MS,
  lookWith,
  printConditions,
  roundAt,
} from "../../test/fixture/nvml/probe-round.ts";
import { pcieProbe } from "./pcie.ts";

describe("pcieProbe", () => {
  test.each([
    [{ pcieWidth: 8 }, ["pcie/width warning 1"]],
    // The generation falls at idle, the width never does.
    [{ pcieGeneration: 1 }, []],
    [{ pcieWidth: 0 }, []],
    [{ pcieWidthMax: null }, []],
  ])("judges %j", (change, said) => {
    expect(printConditions(lookWith(pcieProbe, change).conditions)).toEqual(said);
  });

  test("judges replays by what they grew within the hour", () => {
    const replay = { base: 50, sinceMs: HOUR_MS, grown: 0 };
    const at = (value: number) =>
      lookWith(pcieProbe, { pcieReplay: value }, { replay }, roundAt(HOUR_MS + 1)).conditions;
    expect(at(150)).toEqual([]);
    expect(at(151)[0]).toMatchObject({ reason: "replay", metrics: { replay_count: 101 } });
  });
});
