import { describe, expect, test } from "bun:test";
import { lookWith, printConditions } from "../../test/fixture/nvml/probe-round.ts";
import { faultProbe } from "./fault.ts";

describe("faultProbe", () => {
  test.each([
    [0, []],
    [8, ["power/insufficient serious 1"]],
    [11, ["driver/interrupt serious 1"]],
    [14, ["driver/inforom serious 1"]],
    [16, ["driver/reset_required fatal 1"]],
    // One unknown error is noise.
    [999, []],
  ])("judges return code %p", (rc, said) => {
    expect(printConditions(lookWith(faultProbe, { rc }).conditions)).toEqual(said);
  });

  test("tells of an unknown error in the third round of it", () => {
    const out = lookWith(faultProbe, { rc: 999 }, { unknownRounds: 2 });
    expect(printConditions(out.conditions)).toEqual(["driver/unknown warning 1"]);
    expect(Object.values(out.learned).map((gpu) => gpu.unknownRounds)).toEqual([0, 3]);
  });
});
