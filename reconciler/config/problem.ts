/**
 * Collects everything wrong, or worth saying, about a set of documents, so that one run tells all
 * of it in the order of the text. Nothing here throws: bad input is a value.
 */
import type { Problem } from "../../schema/config.ts";

/** A position in a file, both numbers from 1. */
export type Place = { file: string; line: number; col: number };

export type Say = (
  at: Place,
  path: string,
  code: string,
  message: string,
  hint?: string | null,
) => void;

/** `min` and `max` are inclusive; durations in milliseconds. */
export type Bounds = { min?: number; max?: number; above?: number };

export type Problems = {
  readonly error: Say;
  readonly warning: Say;
  readonly note: Say;
  /** True once an error was said. */
  failed(): boolean;
  /** Everything said, by file in the order given, then by position. */
  list(): Problem[];
};

/**
 * Problems kept of one run. A person fixes the first few and runs again; without a bound a file of
 * ten thousand wrong keys would answer with megabytes.
 */
const PROBLEMS_MAX = 500;

/** Starts an empty collection; `files` fixes the order in which their problems are listed. */
export function collectProblems(files: readonly string[]): Problems {
  const said: Problem[] = [];
  let dropped = 0;
  let failed = false;
  const say =
    (severity: Problem["severity"]): Say =>
    (at, path, code, message, hint = null) => {
      if (severity === "error") failed = true;
      if (said.length >= PROBLEMS_MAX) dropped += 1;
      else said.push({ ...at, path, code, message, hint, severity });
    };
  const rank = new Map(files.map((file, index) => [file, index]));
  const order = (p: Problem) => rank.get(p.file) ?? files.length;
  return {
    error: say("error"),
    warning: say("warning"),
    note: say("note"),
    failed: () => failed,
    list: () => {
      const sorted = said
        .slice()
        .sort((a, b) => order(a) - order(b) || a.line - b.line || a.col - b.col);
      const last = sorted.at(-1);
      if (last !== undefined && dropped > 0) {
        const message = `${dropped} further problems are not shown`;
        const severity = failed ? "error" : "note";
        sorted.push({ ...last, path: "", code: "limit", message, hint: null, severity });
      }
      return sorted;
    },
  };
}

/**
 * One line for people: `FILE:LINE:COL: PATH: problem (hint)`; warnings and notes say that they are.
 */
export function formatProblem(problem: Problem): string {
  const where = `${problem.file}:${problem.line}:${problem.col}: `;
  const path = problem.path === "" ? "" : `${problem.path}: `;
  const kind = problem.severity === "error" ? "" : `${problem.severity}: `;
  const hint = problem.hint === null ? "" : ` (${problem.hint})`;
  return `${where}${path}${kind}${problem.message}${hint}`;
}

/** Text as it may be quoted in a message: short, and without line breaks. */
export function quoteShort(text: string, max = 60): string {
  const cut = text.length > max ? `${text.slice(0, max)}…` : text;
  return JSON.stringify(cut);
}
