import { describe, expect, test } from "bun:test";
import {
  lookWith,
  formatConditions,
  remembering,
  roundAt,
} from "../../test/fixture/nvml/probe-round.ts";
import { healthyCheck } from "../../test/fixture/nvml/fake.ts";
import { faultProbe } from "./fault.ts";
import { EMPTY_MEMORY } from "./probe.ts";

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
    expect(formatConditions(lookWith(faultProbe, { rc }).conditions)).toEqual(said);
  });

  test.each([2, 3, 6, 17, 20, 999])(
    "reports a GPU that opening answers with %p at once",
    (code) => {
      const out = lookWith(faultProbe, { rc: 999, openCode: code });
      expect(formatConditions(out.conditions)).toEqual(["driver/unopened serious 1"]);
      expect(out.conditions[0]).toMatchObject({ metrics: { nvml_code: code } });
    },
  );

  test("names the better known fault of a GPU that cannot be opened", () => {
    const out = lookWith(faultProbe, { rc: 16, openCode: 16 });
    expect(formatConditions(out.conditions)).toEqual(["driver/reset_required fatal 1"]);
  });

  test("counts unknown errors from the first one, and begins again after any other answer", () => {
    const counted = (rc: number, memory = EMPTY_MEMORY) => {
      const out = faultProbe.look(healthyCheck(1, { 0: { rc } }), memory, roundAt(0));
      return Object.values(out.learned).map((gpu) => gpu.unknownRounds);
    };
    expect([counted(0), counted(999), counted(16)]).toEqual([[0], [1], [0]]);
    const two = remembering(healthyCheck(1), { unknownRounds: 2 });
    expect([counted(0, two), counted(999, two), counted(16, two)]).toEqual([[0], [3], [0]]);
  });

  test("tells of an unknown error in the third round of it", () => {
    const out = lookWith(faultProbe, { rc: 999 }, { unknownRounds: 2 });
    expect(formatConditions(out.conditions)).toEqual(["driver/unknown warning 1"]);
    expect(Object.values(out.learned).map((gpu) => gpu.unknownRounds)).toEqual([0, 3]);
  });
});
