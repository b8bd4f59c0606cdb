import { expect, test } from "bun:test";
import { parseQuantity, UNIT, unitsOf } from "./quantity.ts";

/** As `resource.ParseQuantity` reads them; `test/real/kubernetes/quantity.test.ts` asks it. */
test.each([
  ["0", 0n],
  ["8", 8n * UNIT],
  ["+8", 8n * UNIT],
  ["-1", -1n * UNIT],
  ["100m", UNIT / 10n],
  ["0.1", UNIT / 10n],
  [".5", UNIT / 2n],
  ["1.", UNIT],
  ["1n", 1n],
  ["0.1n", 1n],
  ["-0.1n", -1n],
  ["1e-300", 1n],
  ["0e-300", 0n],
  ["5u", 5_000n],
  ["1k", 1_000n * UNIT],
  ["1e3", 1_000n * UNIT],
  ["1E+3", 1_000n * UNIT],
  ["1E", 10n ** 18n * UNIT],
  ["196692052Ki", 196_692_052n * 1_024n * UNIT],
  ["2Ti", 2n * 2n ** 40n * UNIT],
  ["1.5Gi", 3n * 2n ** 29n * UNIT],
  ["16Ei", (2n ** 63n - 1n) * UNIT],
  ["9223372036854775808", 2n ** 63n * UNIT],
])("W46: the quantity %s is read without rounding", (text, nanos) => {
  expect(parseQuantity(text)).toBe(nanos);
});

test.each([
  ["", "1 ", " 1", "1KI", "1ki", "1K", "1e", "1e3Ki", "1.2.3", "abc", "0x1", "1_000", "١"],
  ["1e64", "1e99999999999", "9".repeat(65), `1.${"0".repeat(65)}`],
])("W46: what is no quantity, or has no bounds, is none", (...texts) => {
  for (const text of texts) expect([text, parseQuantity(text)]).toEqual([text, null]);
});

test("W46: a quantity that YAML reads as a number counts, and other values do not", () => {
  expect([parseQuantity(8), parseQuantity(0.5)]).toEqual([8n * UNIT, UNIT / 2n]);
  for (const value of [null, undefined, true, Number.NaN, Infinity, [], {}]) {
    expect(parseQuantity(value)).toBeNull();
  }
});

test("W46: units are the nearest number: ten times 100m is 1", () => {
  expect(unitsOf(10n * (UNIT / 10n))).toBe(1);
  expect(unitsOf(UNIT / 10n)).toBe(0.1);
  expect(unitsOf(2n ** 40n * UNIT + 1n)).toBe(2 ** 40);
  expect(unitsOf(-1n * UNIT)).toBe(-1);
});
