import { expect, test } from "bun:test";
import { keepAnswers } from "./keep-answers.ts";

test("keepAnswers() asks once for each text, and forgets all 256 for one more", () => {
  const asked: string[] = [];
  const ask = keepAnswers((text): string | null => {
    asked.push(text);
    return text === "0" ? null : `${text}!`;
  });
  const texts = Array.from({ length: 256 }, (_, i) => `${i}`);
  const answers = texts.map((text) => (text === "0" ? null : `${text}!`));
  for (let round = 0; round < 2; round++) expect(texts.map(ask)).toEqual(answers);
  expect(asked).toEqual(texts);
  expect([ask("more"), ask("more"), ask("7"), ask("7")]).toEqual(["more!", "more!", "7!", "7!"]);
  expect(asked.slice(256)).toEqual(["more", "7"]);
});
