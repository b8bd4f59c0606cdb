/** Which compiled patterns are remembered. */
import { expect, test } from "bun:test";
import { compilePattern } from "./pattern.ts";

test("patterns of a policy of 500 rules are compiled once, however often they are asked", () => {
  const patterns = Array.from({ length: 1_500 }, (_, i) => `rule-${i} [a-z]+(foo|bar)+`);
  const first = patterns.map(compilePattern);
  for (let turn = 0; turn < 3; turn++) {
    const again = patterns.map(compilePattern);
    expect(again.every((one, i) => one === first[i])).toBe(true);
  }
});

test("what is asked all the time outlives patterns that are built from data", () => {
  const kept = compilePattern("asked all the time");
  const once = compilePattern("asked once");
  for (let i = 0; i < 200; i++) {
    compilePattern(`${i}[a-z]{0,1000}`);
    expect(compilePattern("asked all the time")).toBe(kept);
  }
  expect(compilePattern("asked once")).not.toBe(once);
});
