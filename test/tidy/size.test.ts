import { describe, expect, test } from "bun:test";
import { functionsOf, judgeColumns, judgeSizes } from "./size.ts";
import { parseSource } from "./source.ts";

const judge = (text: string, path = "agent/spool.ts") =>
  judgeSizes(parseSource(path, text)).map(({ line, what }) => `${line}: ${what}`);

const lines = (n: number) => "  a();\n".repeat(n);

/** Each opens a function; its body and closing brace follow. */
const HEADS = [
  "function f() {",
  "export async function f<A, B>(a: A, b: B): Promise<Map<A, B>> {",
  "function f(a: { b: number }): { c: number } {",
  "function f(a: string): { b: number } | null {",
  "function f(): (a: string) => { b: number } {",
  "const f = (a: number): boolean => {",
  "const f = async () => {",
  "const f = a => {",
  "class A { method(a: string): void {",
  "class A { constructor(private a: string) {",
  "class A { get b(): string {",
  "const a = { method(b: number) {",
  "function f(\n  a: string,\n  b = g(1),\n): asserts a is B {",
  "function* f(): Generator<string, void> {",
  "function f(): readonly string[] {",
  "function f(): [a: string, b: number] {",
  "function f(a = (b: number) => b): string {",
];

describe("judgeSizes()", () => {
  test.each(HEADS)("measures %s", (head) => {
    const extra = head.split("\n").length - 1;
    expect(judge(`${head}\n${lines(68 - extra)}}`)).toEqual([]);
    expect(judge(`${head}\n${lines(200)}}`).join()).toMatch(/has \d+ lines, 70 at most/);
  });

  test.each([
    "if (a) {",
    "for (const a of b) {",
    "while (a(b)) {",
    "switch (a) {",
    "const a = {",
    "type A = {",
    "export const A = v.object({",
    "describe.each(a)",
    "class A {",
    "const a = b ? c(d) : {",
    "const a: Record<string, B> = {",
  ])("does not take %s for a function", (head) => {
    expect(judge(`${head}\n${lines(200)}}`)).toEqual([]);
  });

  test("counts a function's own lines, from its name to its brace", () => {
    const text = `${lines(10)}function long() {\n${lines(69)}}\n${lines(10)}`;
    expect(judge(text)).toEqual(["11: long has 71 lines, 70 at most"]);
  });

  test("does not count a brace in a string, a comment or a template", () => {
    const text = `function f() {\n  a("{"); // {\n  b(\`{\${c({})}{\`);\n}\n${lines(200)}`;
    expect(judge(text)).toEqual([]);
  });

  test("fires above 400 lines of a file and not at 400", () => {
    expect(judge(lines(400))).toEqual([]);
    expect(judge(lines(401))).toEqual(["1: 401 lines, 400 at most"]);
  });

  test("leaves tests alone", () => {
    expect(judge(lines(500), "agent/spool.test.ts")).toEqual([]);
    expect(judge(lines(500), "agent/spool.contract.ts")).toEqual([]);
  });
});

describe("judgeColumns()", () => {
  const columns = (text: string, path = "agent/spool.ts") =>
    judgeColumns(parseSource(path, text)).map(({ line, what }) => `${line}: ${what}`);

  test("fires above 100 columns of a line and counts characters, not bytes", () => {
    expect(columns(`// ${"é".repeat(97)}`)).toEqual([]);
    expect(columns(`a();\n// ${"x".repeat(98)}`)).toEqual(["2: 101 columns, 100 at most"]);
  });

  test("leaves tests alone", () => {
    expect(columns(`// ${"x".repeat(200)}`, "agent/spool.test.ts")).toEqual([]);
  });
});

describe("functionsOf()", () => {
  test("names functions and gives nested ones too", () => {
    const { code } = parseSource(
      "a.ts",
      "function a() {\n  return b(() => {\n    c();\n  });\n}\n",
    );
    expect(functionsOf(code)).toEqual([
      { name: "a", from: 1, to: 5 },
      { name: "the arrow function", from: 2, to: 4 },
    ]);
  });
});
