import { expect, test } from "bun:test";
import { asFlags, formatGoUsage, type GoFlag, readGoFlags } from "./go-flag.ts";

const FLAGS: readonly GoFlag[] = [
  { name: "workflow", kind: "string", value: "LIST", help: "files" },
  { name: "cleanup", kind: "bool", help: "remove" },
  { name: "on", kind: "bool", default: "true", help: "on unless told" },
  { name: "v", kind: "int", default: "0", help: "detail" },
  { name: "qps", kind: "float", default: "500", help: "rate" },
  { name: "timeout", kind: "duration", default: "5m", help: "limit" },
  { name: "log_dir", kind: "string", help: "ignored", hidden: true },
];

function read(line: string): unknown {
  const answer = readGoFlags(FLAGS, line === "" ? [] : line.split(" "));
  if (answer.kind !== "ok") return answer.kind === "bad" ? answer.message : "help";
  const { flags } = answer;
  const found = FLAGS.filter(({ name }) => flags.isGiven(name)).map(({ name, kind }) => {
    const value = { string: flags.text, bool: flags.on }[kind as "string"] ?? flags.number;
    return [name, value(name)];
  });
  return { ...Object.fromEntries(found), ...(flags.rest.length > 0 ? { rest: flags.rest } : {}) };
}

test.each([
  ["", {}],
  ["-workflow a.yml", { workflow: "a.yml" }],
  ["--workflow=a.yml -v 4 -cleanup", { workflow: "a.yml", v: 4, cleanup: true }],
  ["-workflow= -v=7", { workflow: "", v: 7 }],
  ["-workflow -cleanup", { workflow: "-cleanup" }],
  ["-cleanup=false -on=F", { cleanup: false, on: false }],
  ["-cleanup false -v 1", { cleanup: true, rest: ["false", "-v", "1"] }],
  ["-v 1 a -cleanup", { v: 1, rest: ["a", "-cleanup"] }],
  ["-v 1 -- -cleanup", { v: 1, rest: ["-cleanup"] }],
  ["-v 1 -", { v: 1, rest: ["-"] }],
  ["-v 1 -v 2", { v: 2 }],
  ["-qps 1.5e2 -timeout 1m30s", { qps: 150, timeout: 90_000 }],
  ["-log_dir /tmp", { log_dir: "/tmp" }],
  ["-h", "help"],
  ["-v 1 --help", "help"],
  ["-bogus", "flag provided but not defined: -bogus"],
  ["--worklfow=x", "flag provided but not defined: -worklfow (did you mean -workflow?)"],
  ["-workflow", "flag needs an argument: -workflow"],
  ["---v", "bad flag syntax: ---v"],
  ["-=x", "bad flag syntax: -=x"],
  ["-v x", 'invalid value "x" for flag -v: parse error'],
  ["-v 1.5", 'invalid value "1.5" for flag -v: parse error'],
  ["-qps Infinity", 'invalid value "Infinity" for flag -qps: parse error'],
  ["-cleanup=maybe", 'invalid boolean value "maybe" for -cleanup: parse error'],
  ["-timeout 5", 'invalid value "5" for flag -timeout: 5 has no unit'],
])("W2: reads %p as Go does", (line, expected) => {
  expect(read(line)).toEqual(expected);
});

test("W3: defaults count where nothing is given", () => {
  const answer = readGoFlags(FLAGS, []);
  if (answer.kind !== "ok") throw new Error(answer.kind);
  const { flags } = answer;
  expect([flags.on("on"), flags.on("cleanup"), flags.text("workflow")]).toEqual([true, false, ""]);
  const numbers = ["v", "qps", "timeout"].map((name) => flags.number(name));
  expect(numbers).toEqual([0, 500, 300_000]);
  expect(() => flags.text("nosuch")).toThrow("not declared");
});

test("the usage names each flag that is not hidden, with one dash and its default", () => {
  const usage = formatGoUsage("Usage of x:", FLAGS);
  expect(usage).toContain("  -workflow LIST\n        files\n");
  expect(usage).toContain("  -timeout VALUE\n        limit (default 5m)\n");
  expect(usage).toContain("  -cleanup\n");
  expect(usage).not.toContain("log_dir");
  expect(asFlags(FLAGS)[0]).toMatchObject({ kind: "text", isGo: true });
});
