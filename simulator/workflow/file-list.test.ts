import { expect, test } from "bun:test";
import { expandList } from "./file-list.ts";

test.each([
  ["a.yml", ["a.yml"]],
  [" a.yml , b.yml ,", ["a.yml", "b.yml"]],
  ["a/{x,y}/{p,q}.yaml", ["a/x/p.yaml", "a/x/q.yaml", "a/y/p.yaml", "a/y/q.yaml"]],
  ["w/{ a , b }.yml,c", ["w/a.yml", "w/b.yml", "c"]],
  ["{a,b{1,2}}.yml", ["a.yml", "b1.yml", "b2.yml"]],
  ["{a}", ["a"]],
  ["x{,.bak}", ["x", "x.bak"]],
])("W12: %p names files in order", (list, items) => {
  expect(expandList(list)).toEqual({ ok: true, items });
});

test.each([
  ["w/{a,b", 'unbalanced braces in "w/{a,b"'],
  ["w/a,b}", 'unbalanced braces in "w/a,b}"'],
  ["}{", 'unbalanced braces in "}{"'],
  ["", "empty filepaths"],
  [" , ", "empty filepaths"],
  ["{a,b}".repeat(20), "more than 10000 files"],
])("W11: %p is refused", (list, message) => {
  const read = expandList(list);
  expect(read.ok ? read.items : read.message).toStartWith(message);
});
