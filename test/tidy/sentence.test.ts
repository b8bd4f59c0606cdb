import { describe, expect, test } from "bun:test";
import { judgeSentences } from "./sentence.ts";
import { parseSource } from "./source.ts";

const PATH = "reconciler/core/decide/a.ts";
const judge = (code: string, path = PATH, speakers = {}) =>
  judgeSentences(parseSource(path, code), speakers).map(({ line, what }) => [line, what]);

describe("judgeSentences()", () => {
  test.each([
    'const a = "no slot to fill";',
    "const a = `slot ${slot} still has a live instance`;",
    "const a = `${one} of ${all}`;",
    'plan.wait("human", `held by ${by}`);',
    'fold({ message: "found in a listing" });',
  ])("fires on %s", (code) => {
    expect(judge(code)).toEqual([[1, "a sentence outside core/say: use a code"]]);
  });

  test.each([
    'const a = "not_ours";',
    'const a = "node.suspect";',
    "const a = `${id}.${fence}.${kind}`;",
    "const a = `pool:${name}`;",
    "throw new Error(`plan: ${kind} of ${node}, which does not exist`);",
    "/** A comment says what it likes. */",
  ])("does not fire on %s", (code) => {
    expect(judge(code)).toEqual([]);
  });

  test("asks the rooms that decide, and neither tests nor core/say", () => {
    const code = 'const a = "no slot to fill";';
    expect(judge(code, "reconciler/core/fold/a.ts")).toHaveLength(1);
    expect(judge(code, "reconciler/core/safety/a.ts")).toHaveLength(1);
    expect(judge(code, "reconciler/core/say/a.ts")).toEqual([]);
    expect(judge(code, "reconciler/core/decide/a.test.ts")).toEqual([]);
  });

  test("allows what a file has, and no more and no less", () => {
    const code = 'const a = "no slot to fill";\nconst b = "drained as ordered";';
    expect(judge(code, PATH, { [PATH]: 2 })).toEqual([]);
    expect(judge(code, PATH, { [PATH]: 1 })).toHaveLength(2);
    expect(judge(code, PATH, { [PATH]: 3 })).toEqual([
      [1, "2 sentences and not 3: lower its number"],
    ]);
  });
});
