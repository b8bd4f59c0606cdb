import { expect, test } from "bun:test";
import { countOf, withArticle } from "./article.ts";

test.each([
  ["idle", "an idle"],
  ["queue", "a queue"],
])("withArticle(%s)", (word, text) => {
  expect(withArticle(word)).toBe(text);
});

test("countOf() tells one from many", () => {
  expect([0, 1, 2].map((n) => countOf(n, "more problem"))).toEqual([
    "0 more problems",
    "1 more problem",
    "2 more problems",
  ]);
});
