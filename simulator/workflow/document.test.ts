import { expect, test } from "bun:test";
import fc from "fast-check";
import { readDocument } from "./document.ts";
import { readWorkflow } from "./run/read.ts";

const problem = (text: string): string => {
  const read = readWorkflow(text, "w.yml");
  return read.ok ? "no problem" : read.message;
};
const task = (inside: string): string => `name: x\ntasks:\n- ${inside}\n`;

test("W10: reads name, description and tasks", () => {
  const text = `name: a
description: what it is for
tasks:
- id: one
  type: Sleep
  description: wait
  params: {timeout: 5s}
- {id: 2, type: Pause}
`;
  expect(readDocument(text)).toEqual({
    ok: true,
    document: {
      name: "a",
      description: "what it is for",
      tasks: [
        { id: "one", type: "Sleep", description: "wait", params: { timeout: "5s" } },
        { id: "2", type: "Pause", description: "", params: {} },
      ],
    },
  });
  expect(problem("tasks: [{id: a, type: Pause}]")).toBe("no problem");
});

test.each([
  ["name: x", "test x has no tasks"],
  ["name: x\ntasks: []", "test x has no tasks"],
  ["", "test  has no tasks"],
  [task("type: Pause"), "missing task ID for tasks[0]"],
  [`${task("{id: a, type: Pause}")}- {id: "", type: Pause}`, "missing task ID for tasks[1]"],
  [task("id: a"), "missing task type for tasks[0]"],
  [task("{id: a, type: Slep}"), 'unsupported task type "Slep": did you mean "Sleep"?'],
  [task("{id: a, type: X}"), 'unsupported task type "X"; expected '],
])("W11: %p is refused", (text, message) => {
  expect(problem(text)).toStartWith(message);
});

test.each([
  ["nmae: x\ntasks: [{id: a, type: Pause}]", 'unknown key "nmae": did you mean "name"?'],
  [
    task("{id: a, type: Pause, parms: {}}"),
    'tasks[0]: unknown key "parms": did you mean "params"?',
  ],
  [
    task("{id: a, type: Pause, x: 1}"),
    'tasks[0]: unknown key "x"; expected id, type, description, params',
  ],
  [
    task("{id: a, type: Sleep, params: {timeot: 5s}}"),
    'Sleep/a: failed to parse parameters: unknown key "timeot": did you mean "timeout"?',
  ],
  [
    task("{id: a, type: Sleep, params: [1]}"),
    "Sleep/a: failed to parse parameters: params: expected a map of names and values",
  ],
  ["- a", "the file: expected a map of names and values"],
  ["name: x\ntasks: {a: b}", "tasks: expected a list of tasks"],
  ["name: x\ntasks: [a]", "tasks[0]: expected a map of names and values"],
  ["name: [x]", "name: expected text"],
  ["a: [", "not valid YAML: line 1: "],
  ["name: x\nname: y", 'not valid YAML: line 2: the key "name" occurs twice'],
  ["name: x\n---\nname: y", "not valid YAML: line 2: expected one document"],
  ["a: *b", "not valid YAML: line 1: "],
  [
    `a: &a [1,1]\nb: &b [*a,*a]\nc: [${"*b,".repeat(50_000)}]`,
    "not valid YAML: line 2: more than 200000 values",
  ],
  [`a: ${"[".repeat(3_000)}${"]".repeat(3_000)}`, "not valid YAML: "],
  [`a: ${"[".repeat(300_000)}`, "not valid YAML: line 1: nested too deeply"],
])("a file that cannot be read says where: %#", (text, message) => {
  expect(problem(text)).toStartWith(message);
});

test.each([
  ["5", "timeout: expected a duration such as 30s, found 5"],
  ["'5'", "timeout: expected a duration such as 30s: 5 has no unit (write 5s)"],
  ["[5s]", "timeout: expected a duration such as 30s, found Array"],
  ["-5s", "timeout: expected a duration such as 30s: -5s is negative"],
  ["5d", "timeout: expected a duration such as 30s: 5d uses the unit d, which varies (write 120h)"],
])("W16: the duration %s is refused", (value, message) => {
  const text = task(`{id: a, type: Sleep, params: {timeout: ${value}}}`);
  expect(problem(text)).toBe(`Sleep/a: failed to parse parameters: ${message}`);
});

test.each(["500ms", "5s", "1m30s", "1.5h", "0s"])("W16: the duration %s is read", (value) => {
  expect(problem(task(`{id: a, type: Sleep, params: {timeout: ${value}}}`))).toBe("no problem");
});

test("W33: Sleep needs its time", () => {
  expect(problem(task("{id: a, type: Sleep}"))).toBe("Sleep/a: 'timeout' parameter have value");
});

test("any text is read or refused with one line, and never thrown at", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
      const read = readWorkflow(text, null);
      if (!read.ok) expect(read.message).not.toContain("internal");
    }),
  );
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const read = readWorkflow(JSON.stringify({ name: "x", tasks: [value] }), null);
      if (!read.ok) expect(read.message.length).toBeGreaterThan(5);
    }),
  );
});
