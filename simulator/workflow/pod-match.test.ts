/** Names of pods against many patterns, with the search that is spared. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { RE2JS } from "re2js";
import { PodMatch } from "./pod-match.ts";
import { TaskError } from "./task.ts";

test.each([
  ["job1-a", "job1-.", true],
  ["xjob1-a", "job1-.", true],
  ["xjob1-a", "^job1-.", false],
  ["job-a", "jobs?-a", true],
  ["jo-a", "job*-a", true],
  ["b", "a|b", true],
  ["job-b", "job-(a|b)", true],
  ["B", "(?i)b", true],
  ["a|b", String.raw`\Qa|b\E`, true],
])("W29: %p matches %p: %p", (name, pattern, expected) => {
  const match = new PodMatch(["never", pattern]);
  expect([match.has(name), match.has(name)]).toEqual([expected, expected]);
});

test("W29: a pattern that is none is named", () => {
  expect(() => new PodMatch(["a", "("])).toThrow(TaskError);
});

test("W29: the spared search never changes the answer", () => {
  const part = fc.constantFrom(..."a b - ^ $ . * ? + | ( ) [ab] {0} {2} \\d".split(" "));
  const pattern = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(""));
  const name = fc.array(fc.constantFrom("a", "b", "-", "1"), { maxLength: 8 });
  fc.assert(
    fc.property(pattern, name, (given, chars) => {
      let wanted: boolean;
      try {
        wanted = RE2JS.compile(given).matcher(chars.join("")).find();
      } catch {
        return;
      }
      expect(new PodMatch([given]).has(chars.join(""))).toBe(wanted);
    }),
    { numRuns: 5_000 },
  );
});
