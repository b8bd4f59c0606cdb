import { expect, test } from "bun:test";
import { withArticle } from "./article.ts";

test.each([
  ["idle", "an idle"],
  ["queue", "a queue"],
])("withArticle(%s)", (word, text) => {
  expect(withArticle(word)).toBe(text);
});
