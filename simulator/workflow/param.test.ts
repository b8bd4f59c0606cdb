import { expect, test } from "bun:test";
import * as v from "valibot";
import { whole } from "../../schema/number.ts";
import { readParams, textMap, withTextLabels } from "./param.ts";
import { readYaml } from "./yaml.ts";

const yaml = (text: string): unknown => {
  const read = readYaml(text);
  if (!read.ok) throw new Error(read.message);
  return read.value;
};

test("W17: scalars without quotes are text as they were written", () => {
  const text = `labels:
  net-optimal: true
  nvidia.com/gpu.count: 8
  version: 1.10
  mask: 0x10
  big: 12345678901234567890
  quoted: "8"
  yes: yes
  empty:
`;
  const read = readParams(v.strictObject({ labels: textMap }), yaml(text));
  expect(read.labels).toEqual({
    "net-optimal": "true",
    "nvidia.com/gpu.count": "8",
    version: "1.10",
    mask: "0x10",
    big: "12345678901234567890",
    quoted: "8",
    yes: "yes",
    empty: "",
  });
});

test("W17: merged and repeated maps keep what was written", () => {
  const value = yaml("a: &a {x: 1.10, y: 2}\nb: {<<: *a, y: 0x3}\nc: *a\n");
  const Maps = v.strictObject({ a: textMap, b: textMap, c: textMap });
  const a = { x: "1.10", y: "2" };
  expect(readParams(Maps, value)).toEqual({ a, b: { x: "1.10", y: "0x3" }, c: a });
});

test("W17: a state's labels and annotations are text, and null removes one", () => {
  const state = yaml("metadata: {labels: {a: 1.0, b: null}, annotations: {c: true}}\nspec: {n: 1}");
  expect(withTextLabels(state as Record<string, unknown>)).toEqual({
    metadata: { labels: { a: "1.0", b: null }, annotations: { c: "true" } },
    spec: { n: 1 },
  });
  expect(withTextLabels({ spec: 1 })).toEqual({ spec: 1 });
});

test("a list or a map is no text", () => {
  const read = (value: unknown) => () => readParams(v.strictObject({ data: textMap }), value);
  expect(read({ data: { a: [1] } })).toThrow(
    'failed to parse parameters: data: expected text for the key "a"',
  );
  expect(read({ data: [1] })).toThrow("failed to parse parameters: data: expected a map of text");
});

const Params = v.strictObject({
  refTaskId: v.string(),
  count: v.optional(whole("expected a whole number"), 1),
  nodes: v.optional(
    v.array(v.strictObject({ type: v.string(), labels: v.optional(textMap, {}) })),
    [],
  ),
  name: v.nullish(v.string()),
});

test.each([
  [{}, "refTaskId: missing"],
  [{ refTaskId: 5 }, "refTaskId: expected text, found 5"],
  [{ refTaskId: [] }, "refTaskId: expected text, found a list"],
  [{ refTaskId: "a", count: "x" }, "count: expected a whole number"],
  [{ refTaskId: "a", cuont: 1 }, 'unknown key "cuont": did you mean "count"?'],
  [
    { refTaskId: "a", nodes: [{ type: "t", label: {} }] },
    'nodes.0: unknown key "label": did you mean "labels"?',
  ],
  [{ refTaskId: "a", nodes: [{}] }, "nodes.0.type: missing"],
  [{ refTaskId: "a", nodes: {} }, "nodes: expected a list, found a map"],
  [{ refTaskId: "a", name: {} }, "name: expected text, found a map"],
  [[], "expected a map"],
])("parameters %p are refused with their key", (params, message) => {
  expect(() => readParams(Params, params)).toThrow(`failed to parse parameters: ${message}`);
});

test("an integer with a leading zero is text, and refused where a number is expected", () => {
  expect(yaml("a: 010\nb: -007\nc: 0\nd: [08]\ne: 0o10\nf: 0.5\n")).toEqual({
    ...{ a: "010", b: "-007", c: 0, d: ["08"], e: 8, f: 0.5 },
  });
  const Count = v.strictObject({ count: v.number() });
  expect(() => readParams(Count, yaml("count: 010\n"))).toThrow('expected a number, found "010"');
});

test("integers beyond 2^53 keep their digits", () => {
  expect(yaml("a: 9007199254740993\nb: 9007199254740991")).toEqual({
    a: 9007199254740993n,
    b: 9007199254740991,
  });
});
