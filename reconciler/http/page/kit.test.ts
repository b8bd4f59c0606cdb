/** Text from elsewhere on a page: what cannot be seen is written out. */
import { expect, test } from "bun:test";
import { visibleText } from "./kit.ts";

test.each([
  ["a\u001b[31m\tb\n", "a\\u001b[31m\tb\n"],
  ["\u202egpu\u2066\u061c", "\\u202egpu\\u2066\\u061c"],
  // Letters that no font shows, which a program that reads the page would.
  ["ok\u{e0068}\u{e0069}\u2061", "ok\\u{e0068}\\u{e0069}\\u2061"],
  ["\u2028\u2029", "\\u2028\\u2029"],
  ["Zürich 🙂 日本", "Zürich 🙂 日本"],
])("visibleText(%j)", (text, shown) => {
  expect(visibleText(text)).toBe(shown);
});
