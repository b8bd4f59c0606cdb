import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { allSxids, allXids, sxid, xid } from "./catalog.ts";
import { decodeNvlink4, needsReset } from "./nvlink4.ts";
import { decodeNvlink5, NVLINK5_RULES } from "./nvlink5.ts";
import rulesFile from "./xid-nvlink5-rules.json" with { type: "json" };

describe("catalogue", () => {
  test("allXids() holds the 176 codes with the counts the data promises", () => {
    const count = (status: string) => allXids().filter((e) => e.status === status).length;
    expect(allXids().map((e) => e.code)).toEqual(Array.from({ length: 176 }, (_, i) => i + 1));
    const counts = ["active", "unbucketed", "sheet_unused", "driver_only"].map(count);
    expect(counts).toEqual([98, 11, 63, 4]);
  });

  test("xid() finds an entry and answers null for a newer code", () => {
    expect(xid(79)).toMatchObject({ name: "GPU has fallen off the bus" });
    expect(xid(79)?.policy).toMatchObject({ action: "reboot_node", scope: "node" });
    expect(xid(999)).toBeNull();
  });

  test("sxid() finds documented and undocumented codes", () => {
    expect(allSxids().length).toBe(93 + 327);
    expect(sxid(10003)).toMatchObject({ class: "always_fatal" });
    expect(sxid(10000)).toEqual({ code: 10000, name: "HOST", class: null });
    expect(sxid(1)).toBeNull();
  });
});

describe("decodeNvlink5()", () => {
  for (const vector of rulesFile.testVectors) {
    const { xid: number, intrInfo, errorStatus, format, rules, immediate } = vector;
    test(`decodeNvlink5() reads ${number} ${intrInfo} ${errorStatus} as ${immediate}`, () => {
      const decode = decodeNvlink5(number, Number(intrInfo), Number(errorStatus));
      expect(decode).toMatchObject({ rules, immediate, format });
    });
    test(`decodeNvlink5() never turns ${number} ${intrInfo} round in the other layout`, () => {
      for (const only of ["v1", "v2"] as const) {
        const one = decodeNvlink5(number, Number(intrInfo), Number(errorStatus), [only]);
        if (one)
          expect(one.immediate).toBe(
            decodeNvlink5(number, Number(intrInfo), Number(errorStatus))?.immediate ??
              one.immediate,
          );
      }
    });
  }

  test("decodeNvlink5() gives one action for any registers that any two rules match", () => {
    const pairs = NVLINK5_RULES.flatMap((r) =>
      [r.v1, r.v2, ...(r.promote ? [r.promote.v1, r.promote.v2] : [])].flatMap((pattern) =>
        (r.errorStatus ?? [0, 1, 0x40]).map((status) => ({
          xid: r.xid,
          info: pattern.value,
          status,
        })),
      ),
    );
    for (const { xid: number, info, status } of pairs) {
      const v1 = decodeNvlink5(number, info, status, ["v1"]);
      const v2 = decodeNvlink5(number, info, status, ["v2"]);
      if (v1 && v2) expect(v1.immediate).toBe(v2.immediate);
      expect(v1 ?? v2).not.toBeNull();
    }
  });

  test("decodeNvlink5() answers null for registers of no rule", () => {
    expect(decodeNvlink5(149, 0x3f00000, 0x77)).toBeNull();
    expect(decodeNvlink5(79, 0, 0)).toBeNull();
  });

  test("decodeNvlink5() answers for any two words", () => {
    const word = fc.integer({ min: 0, max: 0xffff_ffff });
    fc.assert(
      fc.property(fc.integer({ min: 140, max: 155 }), word, word, (number, info, status) => {
        const decode = decodeNvlink5(number, info, status);
        return decode === null || decode.rules.length > 0;
      }),
    );
  });
});

describe("decodeNvlink4()", () => {
  const cases: [number[], string, boolean][] = [
    [[0, 0, 0x10000, 0, 0, 0, 0], "report", false],
    [[1 << 16, 0, 0, 0, 0, 0, 0], "hardware", true],
    [[1, 0, 0, 0, 0, 0, 0], "ignore", false],
    [[1 | (1 << 20), 0, 0, 0, 0, 0, 0], "secondary", false],
    [[0, 0, 0, 1 << 18, 0, 0, 0], "fabric_reset", true],
    [[0, 0, 0, 0, 1 << 29, 0, 0], "corrected", false],
    [[1 << 4, 0, 0, 0, 1 << 20, 0, 0], "ecc", false],
    [[1 << 21, 0, 0, 0, 0, 0, 0], "signal", false],
    [[0x8000_0000, 0, 0, 0, 0, 0, 0], "unlisted", false],
    [[0, 0, 0, 0, 0, 0, 0], "unlisted", false],
  ];
  for (const [registers, reading, reset] of cases) {
    test(`decodeNvlink4() reads ${registers.map((r) => `0x${(r >>> 0).toString(16)}`)}`, () => {
      const decode = decodeNvlink4(registers);
      expect(decode).toBe(reading as typeof decode);
      expect(needsReset(decode)).toBe(reset);
    });
  }
});
