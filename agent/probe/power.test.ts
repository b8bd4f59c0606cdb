import { describe, expect, test } from "bun:test";
import { lookWith, formatConditions } from "../../test/fixture/nvml/probe-round.ts";
import { powerProbe } from "./power.ts";

describe("powerProbe", () => {
  test.each([
    [700, 700, []],
    [840, 700, []],
    [841, 700, ["power/over_limit warning 1"]],
    [900, null, []],
    [900, 0, []],
  ])("at %p W with a limit of %p W", (watts, limit, said) => {
    const out = lookWith(powerProbe, { powerWatts: watts, powerLimitWatts: limit });
    expect(formatConditions(out.conditions)).toEqual(said);
  });
});
