import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { failureOf, isGpuCode, formatCode, worseCode } from "./return-code.ts";

const code = fc.constantFrom(0, 3, 8, 11, 14, 15, 16, 999);

describe("worseCode()", () => {
  test("puts a lost GPU above everything and success below", () => {
    fc.assert(
      fc.property(code, (other) => {
        expect(worseCode(other, 15)).toBe(15);
        expect(worseCode(15, other)).toBe(15);
        if (isGpuCode(other)) expect(worseCode(0, other)).toBe(other);
      }),
    );
  });

  test("does not depend on the order in which codes come", () => {
    fc.assert(
      fc.property(fc.array(code, { minLength: 1 }), (codes) => {
        const gpu = codes.filter(isGpuCode);
        const forward = gpu.reduce(worseCode, 0);
        expect(gpu.toReversed().reduce(worseCode, 0)).toBe(forward);
      }),
    );
  });
});

describe("failureOf()", () => {
  test.each([
    [9, "driver"],
    [12, "driver"],
    [28, "driver"],
    [18, "version"],
    [4, "permission"],
    [17, "permission"],
    [1, "other"],
    [999, "other"],
  ])("%p is a matter of the %p", (value, reason) => {
    expect(failureOf(value, "nvmlInit")).toMatchObject({ reason, code: value });
  });
});

describe("formatCode()", () => {
  test("adds words where there are some", () => {
    expect(formatCode(15)).toBe("15 (GPU is lost)");
    expect(formatCode(77)).toBe("77");
  });
});
