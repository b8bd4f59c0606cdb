/**
 * How long a file, a function and a line may be. A reader holds one screen at a time; beyond these
 * sizes a file hides a second one. Tests may be longer: a table of cases is read row by row.
 */
import { isTest, lineAt } from "./source.ts";
import type { Source, Violation } from "./source.ts";

export const FILE_LINES_MAX = 400;
export const FUNCTION_LINES_MAX = 70;
export const LINE_COLUMNS_MAX = 100;

export function judgeSizes(source: Source): Violation[] {
  if (isTest(source.path)) return [];
  return [...judgeFile(source), ...judgeFunctions(source)];
}

function judgeFile({ path, text }: Source): Violation[] {
  const lines = text.trimEnd().split("\n").length;
  if (lines <= FILE_LINES_MAX) return [];
  return [{ path, line: 1, rule: "size", what: `${lines} lines, ${FILE_LINES_MAX} at most` }];
}

/** Columns are characters as an editor shows them, so an accent or a dash counts once. */
export function judgeColumns({ path, text }: Source): Violation[] {
  if (isTest(path)) return [];
  return text.split("\n").flatMap((content, index) => {
    const columns = [...content].length;
    if (columns <= LINE_COLUMNS_MAX) return [];
    const what = `${columns} columns, ${LINE_COLUMNS_MAX} at most`;
    return [{ path, line: index + 1, rule: "columns", what }];
  });
}

function judgeFunctions({ path, code }: Source): Violation[] {
  return functionsOf(code).flatMap(({ name, from, to }) => {
    const lines = to - from + 1;
    if (lines <= FUNCTION_LINES_MAX) return [];
    const what = `${name} has ${lines} lines, ${FUNCTION_LINES_MAX} at most`;
    return [{ path, line: from, rule: "size", what }];
  });
}

export type Span = { name: string; from: number; to: number };

/** Words after which a parenthesis and a brace are no function. */
const CONTROL = /^(?:if|for|while|switch|catch|with|await)$/;

/**
 * Every function with a braced body, from the line of its `(` or `=>` to that of its closing brace.
 */
export function functionsOf(code: string): Span[] {
  const spans: Span[] = [];
  const span = (name: string, start: number, open: number) => {
    const close = closing(code, open);
    spans.push({ name, from: lineAt(code, start), to: lineAt(code, close) });
  };
  const opens: number[] = [];
  for (let i = 0; i < code.length; i += 1) {
    const char = code[i];
    if (char === "(") opens.push(i);
    if (char === ")") {
      const start = opens.pop() ?? i;
      const name = wordBefore(code, start);
      if (CONTROL.test(name)) continue;
      const open = bodyAfter(code, i + 1);
      if (open !== null) span(name === "" ? "the function" : name, start, open);
    }
    if (char === "=" && code[i + 1] === ">") {
      const open = /^\s*\{/.exec(code.slice(i + 2, i + 200));
      if (open !== null) span("the arrow function", i, i + 1 + open[0].length);
    }
  }
  return spans;
}

/** The name in front of `(`, past a list of type parameters: `f<A>(` → `f`. */
function wordBefore(code: string, at: number): string {
  const before = code.slice(Math.max(0, at - 200), at).replace(/<[^<>()]*>\s*$/, "");
  return /([\w$]+)\s*$/.exec(before)?.[1] ?? "";
}

/**
 * The brace that opens a body after a parameter list, or `null`. With a return type the body is the
 * first brace that cannot belong to the type, as one after `:`, `|`, `&`, `<`, `,`, `(`, `[` or
 * `=>` does.
 */
function bodyAfter(code: string, from: number): number | null {
  let i = skipSpace(code, from);
  if (code[i] === "{") return i;
  if (code[i] !== ":") return null;
  for (let last = ":"; i < code.length; i += 1) {
    const char = code[i] ?? "";
    if (char === "{" && !/[:|&<,([>]/.test(last)) return i;
    if (char === "{" && last === ">" && !/=>\s*$/.test(code.slice(0, i))) return i;
    if (char === "{" || char === "(" || char === "[") i = closing(code, i);
    else if (code.startsWith("=>", i) && last === ")") i += 1;
    else if (/[;})\]=]/.test(char) || (char === "," && !inAngles(code, from, i))) return null;
    if (/\S/.test(char)) last = code[i] ?? "";
  }
  return null;
}

/** True if a `<` between `from` and `at` is still open: `Map<string, number>`. */
function inAngles(code: string, from: number, at: number): boolean {
  const between = code.slice(from, at).replaceAll("=>", "");
  return between.split("<").length > between.split(">").length;
}

function skipSpace(code: string, from: number): number {
  let i = from;
  while (/\s/.test(code[i] ?? "")) i += 1;
  return i;
}

const PAIR: Readonly<Record<string, string>> = { "{": "}", "(": ")", "[": "]" };

/** Where the bracket at `open` closes; the end of the text if it never does. */
function closing(code: string, open: number): number {
  const up = code[open] ?? "";
  const down = PAIR[up];
  let depth = 0;
  for (let i = open; i < code.length; i += 1) {
    if (code[i] === up) depth += 1;
    if (code[i] === down) depth -= 1;
    if (depth === 0) return i;
  }
  return code.length;
}
