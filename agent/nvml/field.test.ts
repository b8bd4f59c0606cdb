import { describe, expect, test } from "bun:test";
import { numberOf, parseFields, encodeFields } from "./field.ts";

/**
 * One answered entry: the header's layout is 40 bytes, type at 24, return code at 28, value at 32.
 */
function entry(type: number, code: number, value: bigint): Uint8Array {
  const bytes = encodeFields([{ id: 82, scope: 3 }]);
  const view = new DataView(bytes.buffer);
  view.setUint32(24, type, true);
  view.setUint32(28, code, true);
  view.setBigUint64(32, value, true);
  return bytes;
}

const valueOf = (type: number, value: bigint) => parseFields(entry(type, 0, value))[0]?.value;

describe("encodeFields()", () => {
  test("lays out id and scope of each entry", () => {
    const bytes = encodeFields([{ id: 230 }, { id: 165, scope: 7 }]);
    const view = new DataView(bytes.buffer);
    expect(bytes).toHaveLength(80);
    expect([0, 4, 40, 44].map((at) => view.getUint32(at, true))).toEqual([230, 0, 165, 7]);
  });
});

describe("parseFields()", () => {
  test.each([
    ["unsigned int", 1, 0xffff_ffff_0000_0005n, 5],
    ["unsigned long", 2, 9_000_000_000n, 9_000_000_000],
    ["unsigned long long", 3, 7n, 7],
    ["signed long long", 4, 0xffff_ffff_ffff_fffen, -2],
    ["signed int", 5, 0xdead_beef_ffff_fffdn, -3],
    ["unsigned short", 6, 0xdead_beef_dead_0009n, 9],
    ["double", 0, 0x404e_c000_0000_0000n, 61.5],
    ["double that is no number", 0, 0x7ff8_0000_0000_0000n, null],
    ["type of a later header", 7, 5n, null],
  ])("decodes %s", (_, type, value, expected) => {
    expect(valueOf(type, value)).toBe(expected);
  });

  test("gives no value for an entry that failed, whatever its bytes say", () => {
    expect(parseFields(entry(1, 3, 42n))).toEqual([{ code: 3, value: null }]);
  });
});

describe("numberOf()", () => {
  test("takes 2^64 − 1 for not available", () => {
    expect(numberOf(0xffffffffffffffffn)).toBeNull();
    expect(numberOf(0n)).toBe(0);
  });
});
