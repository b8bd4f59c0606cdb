/** The generator of faults, tried on text whose every fault is known, and on a tree of its own. */
import { afterAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { EQUIVALENT } from "./equivalent.ts";
import { instrument, replaceBy } from "./instrument.ts";
import { generateMutants } from "./operator.ts";
import { type Candidate, candidatesOf, draw, keyOf, lowerBound } from "./sample.ts";
import { build, type Fate, type Item, measure, tryAll } from "./trial.ts";

const changesOf = (source: string): string[] =>
  generateMutants("a.ts", source).map((mutant) => replaceBy(source, mutant));

describe("generateMutants()", () => {
  test.each([
    ["a < b;", ["a <= b;", "a >= b;", "true;", "false;"]],
    ["a === b;", ["true;", "false;"]],
    [
      "if (f(x)) g = 1;",
      [
        "if (false) g = 1;",
        "if (true) g = 1;",
        "if (f(x)) void 0;",
        "if (f(x)) g = 0;",
        "if (f(x)) g = 2;",
      ],
    ],
    [
      "while (a < 9) a();",
      [
        "while (a <= 9) a();",
        "while (a >= 9) a();",
        "while (false) a();",
        "while (a < 0) a();",
        "while (a < 90) a();",
        "while (a < 9) void 0;",
      ],
    ],
    ["a && b;", ["(a) || (b);", "true;", "false;"]],
    ["x = a ?? [];", ["void 0;"]],
    ["x = a?.b?.(c);", ["void 0;", "x = a.b(c);"]],
    ["a + `b`;", []],
    ["a * 60_000;", ["a / 60_000;", "a * 0;", "a * 600000;", "a * 60;"]],
    ["const x: 5 = 5 as const;", ["const x: 5 = 0 as const;", "const x: 5 = 50 as const;"]],
    ["x.filter(f).some(g);", ["void 0;", "x.filter(f).every(g);", "x.some(g);"]],
    ["await store(x);", ["void 0;"]],
    ['import a from "b"; type T = 5; interface I { a: 1 }', []],
    ["({ 5: a, b: !c });", ["({ 5: a, b: c });"]],
    ["throw new E(1);", ["throw new E(0);", "throw new E(2);"]],
  ])("%s", (source, expected) => {
    expect(changesOf(source)).toEqual(expected);
  });

  test("tells code that runs at import from code that is called", () => {
    const source = "export const WAIT_MS = 60_000;\nexport const f = () => 7;\nrun(3);\n";
    const found = generateMutants("a.ts", source).map(({ constant, replacement }) => [
      constant,
      replacement,
    ]);
    expect(found.filter(([constant]) => constant === "WAIT_MS")).toHaveLength(3);
    expect(found).toContainEqual([null, "0"]);
    expect(found).toContainEqual(["", "void 0"]);
  });
});

describe("instrument()", () => {
  const SOURCE = `
export const LIMIT = 4;
const half = (n: number): number => n / 2;
export function judge(n: number, name?: { text?: string }): string {
  // Comments and lines stay.
  const list = [1, 2, n].filter((x) => x > 1 && x !== LIMIT);
  let sum = 0;
  for (const x of list) { sum += half(x); }
  if (sum >= 3 || name?.text?.startsWith("a") === true) { return \`big \${sum + 1}\`; }
  const limits = { LIMIT, other: LIMIT };
  return (sum < limits.other ? "small" : "even") as string;
}`;
  const mutants = generateMutants("a.ts", SOURCE).map((mutant, at) => ({ ...mutant, id: at + 1 }));
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const CALLS = [[0], [1], [2], [3], [4], [9], [1, { text: "ab" }], [1, {}]];

  /** What each call gives, or the kind of error. */
  function outcomes(source: string, active: number): string[] {
    const text = transpiler.transformSync(source).replaceAll(/^export /gm, "");
    const body = text.replace(/export \{[^}]*\};?/, "");
    const make = new Function("$m", "$t", `${body}; return judge;`);
    try {
      const judge = make(
        (id: number) => id === active,
        () => undefined,
      );
      return CALLS.map((given) => {
        try {
          return String(judge(...given));
        } catch (error) {
          return error instanceof Error ? error.name : "error";
        }
      });
    } catch (error) {
      return [error instanceof Error ? error.name : "error"];
    }
  }

  test("changes nothing while no mutant is on, and keeps every line", () => {
    const made = instrument("a.ts", SOURCE, mutants);
    expect(outcomes(made, 0)).toEqual(outcomes(SOURCE, 0));
    expect(made.split("\n")).toHaveLength(SOURCE.split("\n").length);
  });

  test("does with a mutant on what the text with that change does", () => {
    expect(mutants.length).toBeGreaterThan(30);
    const made = instrument("a.ts", SOURCE, mutants);
    for (const mutant of mutants)
      expect([mutant, outcomes(made, mutant.id)]).toEqual([
        mutant,
        outcomes(replaceBy(SOURCE, mutant), 0),
      ]);
  });
});

describe("draw()", () => {
  const from = (file: string, count: number): Candidate[] =>
    Array.from({ length: count }, (_, start) => ({
      file,
      start,
      end: start + 1,
      line: 1,
      operator: "number",
      replacement: "0",
      before: "1",
      form: "expression",
      constant: null,
    }));
  const all = [...from("long.ts", 100), ...from("short.ts", 3), ...from("other.ts", 20)];

  test("takes as many from each file, and the same for the same seed", () => {
    const drawn = draw(all, 12, 7);
    const counts = Map.groupBy(drawn, ({ file }) => file);
    expect([...counts.values()].map((list) => list.length).sort()).toEqual([3, 4, 5]);
    expect(draw(all, 12, 7)).toEqual(drawn);
    expect(draw(all, 12, 8)).not.toEqual(drawn);
    expect(draw(all, 1_000, 7)).toHaveLength(all.length);
  });

  test("keyOf() names a mutant by text that edits elsewhere do not change", () => {
    const [one] = from("a.ts", 1);
    if (one === undefined) throw new Error("no mutant");
    expect(keyOf(one, "  const x = 1;")).toBe("a.ts | const x = 1; | 1 → 0");
    expect(keyOf({ ...one, line: 9, start: 50 }, "const x = 1;")).toBe(keyOf(one, "const x = 1;"));
  });
});

test("lowerBound() is Wilson's", () => {
  expect(lowerBound(680, 800)).toBeCloseTo(0.8236, 3);
  expect(lowerBound(0, 0)).toBe(0);
  expect(lowerBound(10, 10)).toBeCloseTo(0.7225, 3);
});

describe("a trial of a small tree", () => {
  const copy = mkdtempSync(join(tmpdir(), "navarch-mutant-test-"));
  afterAll(() => rmSync(copy, { recursive: true, force: true }));

  const SOURCE = `export const WAIT = 60;
export const isLate = (n: number): boolean => n >= WAIT;
export const notTested = (n: number): number => n + 1;
export function sum(n: number): number {
  let all = 0;
  for (let i = 0; i < n; i += 1) all += i;
  return all;
}
export const SET = { early: 5 };
`;
  const TEST = `import { describe, expect, test } from "bun:test";
import { isLate, SET, sum } from "./late.ts";
let ran = 0;
describe("isLate()", () => {
  test("is late long after", () => expect(isLate(1_000)).toBe(true));
  test("is not late at once", () => expect(isLate(0)).toBe(false));
});
test("sum", () => expect(sum(4)).toBe(6));
test("first of two", () => { ran += 1; expect(sum(0)).toBe(0); });
test("early", () => expect(SET.early).toBe(5));
test("needs the first", () => expect(ran).toBe(1));
`;

  test("tells what is noticed, missed, endless and never reached", async () => {
    mkdirSync(join(copy, "test"));
    cpSync(import.meta.dir, join(copy, "test", "mutant"), { recursive: true });
    symlinkSync(join(import.meta.dir, "../../node_modules"), join(copy, "node_modules"));
    writeFileSync(join(copy, "late.ts"), SOURCE);
    writeFileSync(join(copy, "late.test.ts"), TEST);
    const items = candidatesOf("late.ts", SOURCE).map((one, index): Item => ({
      ...one,
      id: index + 1,
    }));
    build(copy, items, ["late.test.ts"]);
    const reach = await measure(copy, ["late.test.ts"], 1);
    expect(reach.unusable).toEqual([]);
    const fates = new Map<string, Fate["kind"]>();
    await tryAll(copy, items, reach, 2, (item, { kind }) => {
      fates.set(`${item.line} ${item.before} → ${item.replacement}`, kind);
    });
    const kindsOf = (change: string) => fates.get(change);
    expect(kindsOf("2 n >= WAIT → true")).toBe("killed");
    expect(kindsOf("2 n >= WAIT → n > WAIT")).toBe("survived");
    // A constant is evaluated at import; its tests are found by where it is read.
    expect(kindsOf("1 60 → 0")).toBe("killed");
    expect(kindsOf("1 60 → 600")).toBe("survived");
    // What only another file reads of it is found by the import.
    expect(kindsOf("9 5 → 50")).toBe("killed");
    expect(kindsOf("3 n + 1 → n - 1")).toBe("unreached");
    expect(kindsOf("6 i < n → i <= n")).toBe("killed");
    expect(kindsOf("6 i += 1 → void 0")).toBeUndefined();
    expect(kindsOf("6 1 → 0")).toBe("timeout");
  }, 120_000);
});

describe("EQUIVALENT", () => {
  const byFile = Map.groupBy(EQUIVALENT, ({ key }) => key.split(" | ")[0] ?? "");

  // An entry that fits nothing any more would excuse whatever is written there next.
  test.each([...byFile.keys()])("names only changes that can still be made to %s", (file) => {
    const source = readFileSync(join(ROOT, file), "utf8");
    const lines = source.split("\n");
    const keys = candidatesOf(file, source).map((one) => keyOf(one, lines[one.line - 1] ?? ""));
    const stale = byFile.get(file)?.filter(({ key }) => !keys.includes(key));
    expect(stale).toEqual([]);
  });
});
