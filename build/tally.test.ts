import { describe, expect, test } from "bun:test";
import { EMPTY, foldLine, joinVerdicts, judgeRun } from "./tally.ts";
import { formatCounts, type Tally } from "./tally.ts";

const read = (text: string): Tally => text.split("\n").reduce(foldLine, EMPTY);

const COMPLETE = `
a.test.ts:
(pass) one > two [0.06ms]
(skip) three
(todo) four
(fail) five [0.14ms]

 12 pass
 1 skip
 2 todo
 1 fail
 14 expect() calls
Ran 16 tests across 1 file. [3.00ms]`;

describe("judgeRun()", () => {
  test("takes the counts of the closing block and calls todo skipped", () => {
    const { counts, why } = judgeRun(read(COMPLETE), 1);
    expect(counts).toEqual({ passed: 12, failed: 1, skipped: 3 });
    expect(why).toBeNull();
  });

  test("reads through colours", () => {
    const coloured = "\u001b[32m 3 pass\u001b[0m\n 0 fail\nRan 3 tests across 2 files. [1ms]";
    expect(judgeRun(read(coloured), 0).counts).toEqual({ passed: 3, failed: 0, skipped: 0 });
  });

  test("prefers the outer run's block to one that a test printed", () => {
    const nested = ` 7 pass\n 0 fail\nRan 7 tests across 1 file. [1ms]\n${COMPLETE}`;
    expect(judgeRun(read(nested), 1).counts.passed).toBe(12);
  });

  test("counts a run without its closing line as failed, whatever the status", () => {
    const died = "a.test.ts:\n(pass) one\n(pass) two\n(fail) three";
    expect(judgeRun(read(died), 0).counts).toEqual({ passed: 2, failed: 2, skipped: 0 });
    expect(judgeRun(read(died), 137).why).toContain("137");
  });

  test("counts a bad status without a failed test as one failure", () => {
    const passing = " 3 pass\n 0 fail\nRan 3 tests across 1 file. [1ms]";
    expect(judgeRun(read(passing), 1).counts).toEqual({ passed: 3, failed: 1, skipped: 0 });
  });

  test("names the file in which a process of a parallel run ended", () => {
    const died = `a.test.ts:\n✗ a.test.ts (worker crashed: exit code 0)\n\n${COMPLETE}`;
    const { failures } = judgeRun(read(died), 1);
    expect(failures[0]).toContain("a.test.ts (worker crashed: exit code 0)");
    expect(failures.length).toBe(2);
  });

  test("counts a run of zero tests as one failure", () => {
    const none = " 0 pass\n 2 skip\n 0 fail\nRan 2 tests across 1 file. [1ms]";
    const { counts, why } = judgeRun(read(none), 0);
    expect(counts).toEqual({ passed: 0, failed: 1, skipped: 2 });
    expect(why).toBe("no test ran");
  });
});

describe("what failed", () => {
  const text = `
a.test.ts:
(pass) one [0.06ms]

b.test.ts:
(pass) two [0.06ms]
12 |   expect(3).toBe(4);
error: expect(received).toBe(expected)
(fail) a group > three [0.14ms]

2 tests failed:
(fail) a group > three [0.14ms]

 2 pass
 1 fail
Ran 3 tests across 2 files. [3.00ms]`;

  test("is printed once, with its file and preceding output", () => {
    expect(judgeRun(read(text), 1).failures).toEqual([
      "b.test.ts:\n12 |   expect(3).toBe(4);\nerror: expect(received).toBe(expected)\n" +
        "(fail) a group > three [0.14ms]",
    ]);
  });

  test("is told of a file that cannot be loaded", () => {
    const line = "-------------------------------";
    const error = "error: CI=true, but machines need root\n      at b.test.ts:2:11";
    const said = `# Unhandled error between tests\n${line}\n2 | throw\n${error}`;
    const end = " 0 pass\n 1 fail\n 1 error\nRan 1 test across 1 file. [4.00ms]";
    const told = judgeRun(read(`b.test.ts:\n\n${said}\n${line}\n\n\n${end}`), 1);
    expect(told.failures).toEqual([`b.test.ts:\n${said}\n${line}`]);
    expect(told.counts).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });

  test("is bounded in lines and in number", () => {
    const noise = Array.from({ length: 500 }, (_, i) => `line ${i}`).join("\n");
    const long = judgeRun(read(`a.test.ts:\n${noise}\n(fail) one`), 1).failures[0] ?? "";
    expect(long.split("\n").length).toBeLessThanOrEqual(32);
    expect(long).toContain("line 499");
    const many = Array.from({ length: 500 }, (_, i) => `(fail) number ${i} of many`).join("\n");
    expect(judgeRun(read(many), 1).failures.length).toBe(50);
  });
});

describe("formatCounts()", () => {
  test("names skipped tests only when there are some", () => {
    expect(formatCounts({ passed: 3, failed: 0, skipped: 0 })).toBe("3 passed, 0 failed");
    expect(formatCounts({ passed: 3, failed: 1, skipped: 2 })).toBe(
      "3 passed, 1 failed, 2 skipped",
    );
  });
});

test("joinVerdicts() adds counts up and forgets no complaint", () => {
  const good = { counts: { passed: 2, failed: 0, skipped: 1 }, why: null, failures: [] };
  const bad = {
    counts: { passed: 1, failed: 1, skipped: 0 },
    why: "it died",
    failures: ["a.test.ts:\n(fail) one"],
  };
  expect(joinVerdicts(good, good)).toEqual({
    counts: { passed: 4, failed: 0, skipped: 2 },
    why: null,
    failures: [],
  });
  expect(joinVerdicts(good, bad)).toEqual({
    counts: { passed: 3, failed: 1, skipped: 1 },
    why: "it died",
    failures: bad.failures,
  });
  const both = joinVerdicts(bad, bad);
  expect(both.why).toBe("it died; it died");
  expect(both.failures.length).toBe(2);
});
