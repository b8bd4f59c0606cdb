import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { cutMiddle, foldLines, wrap } from "./wrap.ts";

test("cutMiddle() keeps both ends, and no more than the width", () => {
  expect(cutMiddle("gpu-node-us-east-1-0042", 12)).toBe("gpu-no…-0042");
  expect(cutMiddle("gpu-7", 5)).toBe("gpu-7");
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.integer({ min: 1, max: 40 }), (text, width) => {
      expect(Bun.stringWidth(cutMiddle(text, width))).toBeLessThanOrEqual(width);
    }),
  );
});

test("wrap() breaks between words only", () => {
  expect(wrap("one two three", 7)).toEqual(["one two", "three"]);
  expect(wrap("/a/path/that/is/long x", 7)).toEqual(["/a/path/that/is/long", "x"]);
});

describe("foldLines()", () => {
  test.each([
    ["Reasons:  XID 79 on GPU 3", "Reasons:  XID 79 on\n          GPU 3"],
    ["    because of this and that", "    because of this\n      and that"],
    ["node gpu-7: held by alice", "node gpu-7: held by\n  alice"],
    ["fits", "fits"],
  ])("continues %p below its beginning", (line, folded) => {
    expect(foldLines(line, 19)).toBe(folded);
  });
});
