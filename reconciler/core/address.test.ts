import { expect, test } from "bun:test";
import { wordsOf } from "./address.ts";

test.each([
  ["::", [0, 0, 0, 0, 0, 0, 0, 0]],
  ["::1", [0, 0, 0, 0, 0, 0, 0, 1]],
  ["1::8", [1, 0, 0, 0, 0, 0, 0, 8]],
  ["1:2:3:4:5:6:7:8", [1, 2, 3, 4, 5, 6, 7, 8]],
  ["2001:0DB8:0:0:1::", [0x2001, 0xdb8, 0, 0, 1, 0, 0, 0]],
  ["64:ff9b::1.2.3.4", [0x64, 0xff9b, 0, 0, 0, 0, 0x102, 0x304]],
  ["fe80::1%eth0", null],
  ["1.2.3.4", null],
  ["x:y", null],
  ["", null],
])("wordsOf(%p) is %p", (address, words) => {
  expect(wordsOf(address)).toEqual(words);
});
