import { describe, expect, test } from "bun:test";
import { judgeReading } from "./read-text.ts";
import { parseSource } from "./source.ts";

const judge = (code: string, path = "reconciler/core/a.ts", readers = {}) =>
  judgeReading(parseSource(path, code), readers).map(({ what }) => what);

describe("judgeReading()", () => {
  test.each([
    'const a = message.startsWith("forbidden: ");',
    'const a = node.cordon?.why.includes("scale");',
    'const a = (finding.reason ?? "").startsWith("recovery_");',
    "const a = /refuses the key/.test(outcome.error);",
    "const [a] = PATTERN.exec(phase.refusal) ?? [];",
    'const a = String(error).includes("BUSY");',
    'const a = why.message.trim().toLowerCase().endsWith("x");',
    "const a = judgement.because.match(/XID/);",
    'if (one.message === "no capacity") a();',
  ])("fires on %s", (code) => {
    expect(judge(code)).toHaveLength(1);
  });

  test.each([
    'const a = reasons.includes("budget");',
    'const a = name.startsWith("x");',
    "const a = allowed.includes(reason);",
    'const a = wait.reason === "budget";',
    'const a = message === "";',
    "const a = message.slice(0, 80);",
    'const a = message.replaceAll("a", "b");',
    "const a = `${message}`.length;",
  ])("does not fire on %s", (code) => {
    expect(judge(code)).toEqual([]);
  });

  test("asks the rooms that decide and show, and neither tests nor readers of others' text", () => {
    const code = 'const a = message.startsWith("x");';
    expect(judge(code, "cli/a.ts")).toHaveLength(1);
    expect(judge(code, "health/a.ts")).toHaveLength(1);
    expect(judge(code, "agent/a.ts")).toEqual([]);
    expect(judge(code, "cli/a.test.ts")).toEqual([]);
    expect(judge(code, "cli/a.ts", { "cli/a.ts": "git's" })).toEqual([]);
  });
});
