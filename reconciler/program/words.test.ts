/** Words as Python's shlex.split(), with which the AWS CLI reads them, splits them. */
import { expect, test } from "bun:test";
import { quotedWords } from "./words.ts";

test.each([
  ["a  b\tc", ["a", "b", "c"]],
  [`'a b' "c d"e`, ["a b", "c de"]],
  [`"a\\"b" 'c\\d' e\\ f \\"`, ['a"b', "c\\d", "e f", '"']],
  [`"a\\b" ''`, ["a\\b", ""]],
  ["", []],
  ["a 'b", null],
  ['"a', null],
  ["a\\", null],
])("%p", (line, words) => expect(quotedWords(line)?.words ?? null).toEqual(words));

test.each([
  ["a | b", "|"],
  ["a; b", ";"],
  ["a >b", ">"],
  ["a $b", "$"],
  ['a "`b`"', "`"],
  ["~/a", "~"],
  ['a~ \'b | $c\' \\$d "e;f" "~"', null],
])("%p needs a shell for %p", (line, shell) => expect(quotedWords(line)?.shell).toBe(shell));
