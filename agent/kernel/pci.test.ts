/** Addresses read and printed without the store of answers that `normalizePci` keeps. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { normalizePci, parsePci, formatPci } from "./pci.ts";

test.each([
  ["0000:3b:00", [0, 0x3b, 0, 0]],
  ["PCI:0002:3F:1F.7", [2, 0x3f, 0x1f, 7]],
  [" 3b:0a.1 ", [0, 0x3b, 0x0a, 1]],
  ["00010000:ff:00.0", [0x10000, 0xff, 0, 0]],
  ["1:00:1f.0", [1, 0, 0x1f, 0]],
])("parsePci() reads %s", (text, [domain, bus, device, fn]) => {
  expect(parsePci(text)).toEqual({ domain, bus, device, function: fn } as never);
});

// 32 devices to a bus and 8 functions to a device; nothing before, behind or between.
test.each(["0000:3b:20", "0000:3b:00.8", "0000:3b:20.8", "0000:3b", "3b:0", "3b:00.10", ""])(
  "parsePci() refuses %p",
  (text) => expect(parsePci(text)).toBeNull(),
);
test.each(["x3b:00.0", "3b:00.0x", "PCI: 3b:00", "000000001:3b:00.0", "g0:00.0", "3b.00.0"])(
  "parsePci() refuses %p",
  (text) => expect(parsePci(text)).toBeNull(),
);

test("formatPci() fills with zeros and cuts nothing", () => {
  const print = (domain: number, bus: number, device: number, fn: number) =>
    formatPci({ domain, bus, device, function: fn });
  expect(print(0, 4, 0, 0)).toBe("0000:04:00.0");
  expect(print(0xabc, 0xde, 0x1f, 7)).toBe("0abc:de:1f.7");
  expect(print(0x10000, 0, 1, 2)).toBe("10000:00:01.2");
});

test("every address that is printed is read as the same", () => {
  const address = fc.record({
    domain: fc.nat(0xffff_ffff),
    bus: fc.nat(255),
    device: fc.nat(31),
    function: fc.nat(7),
  });
  fc.assert(fc.property(address, (one) => Bun.deepEquals(parsePci(formatPci(one)), one)));
});

test("normalizePci() answers alike for the hundredth text and for the thousandth", () => {
  const texts = Array.from({ length: 1_000 }, (_, i) => `${i.toString(16)}:00:00`);
  const round = () => texts.map(normalizePci);
  const first = round();
  expect(first[0x1f]).toBe("001f:00:00.0");
  expect(new Set(first).size).toBe(1_000);
  expect(round()).toEqual(first);
  for (let i = 0; i < 3; i++) expect(normalizePci("none")).toBeNull();
});
