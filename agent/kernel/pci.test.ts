/** Addresses in every spelling, and that what was answered before changes nothing. */
import { expect, test } from "bun:test";
import { normalizePci } from "./pci.ts";

test("normalizePci() knows every spelling, and what is none", () => {
  expect(normalizePci("00000000:3B:00.0")).toBe("0000:3b:00.0");
  expect(normalizePci("PCI:0000:3b:00")).toBe("0000:3b:00.0");
  expect(normalizePci("3b:00")).toBe("0000:3b:00.0");
  expect(normalizePci("0000:3b:20.0")).toBeNull();
  expect(normalizePci("gpu 3")).toBeNull();
});

test("normalizePci() answers the same again, whatever was asked in between", () => {
  const addresses = Array.from({ length: 1_000 }, (_, i) => {
    return { text: `${i.toString(16).padStart(8, "0")}:3B:00.0`, i };
  });
  for (let round = 0; round < 2; round++) {
    for (const { text, i } of addresses) {
      expect(normalizePci(text)).toBe(`${i.toString(16).padStart(4, "0")}:3b:00.0`);
      expect(normalizePci(`${text} is not one`)).toBeNull();
    }
  }
});
