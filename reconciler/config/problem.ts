/**
 * Collects the problems of a set of documents, so that one run lists all of them in the order of
 * the text. Never throws: bad input is a value.
 */
import type { Problem } from "../../schema/config.ts";
import { cutText } from "../../schema/cut-text.ts";

/** A position in a file, both numbers from 1. */
export type Place = { file: string; line: number; col: number };

/** Records one problem; returns `null`, which a reader returns for a refused value. */
type Say = (at: Place, path: string, code: string, message: string, hint?: string | null) => null;

/** `min` and `max` are inclusive; durations in milliseconds. */
export type Bounds = { min?: number; max?: number; above?: number };

export type Problems = {
  readonly error: Say;
  readonly warning: Say;
  readonly note: Say;
  /** True after the first error. */
  failed(): boolean;
  /** By file in the order given, then by position. */
  list(): Problem[];
};

/** Without a bound a file of ten thousand wrong keys would return megabytes. */
const PROBLEMS_MAX = 500;
/** A message that repeats the value says what it is in fewer. */
const MESSAGE_CHARS_MAX = 2_000;

/** Starts an empty collection; `files` fixes the order in which their problems are listed. */
export function collectProblems(files: readonly string[]): Problems {
  const found: Problem[] = [];
  const told = new Set<string>();
  let dropped = 0;
  let failed = false;
  const say =
    (severity: Problem["severity"]): Say =>
    (at, path, code, said, advice = null) => {
      if (severity === "error") failed = true;
      const message = cutText(said, MESSAGE_CHARS_MAX);
      const hint = advice === null ? null : cutText(advice, MESSAGE_CHARS_MAX);
      // A pool's setting is checked for each of its providers.
      const same = `${at.file}:${at.line}:${at.col} ${path} ${code} ${message}`;
      if (told.has(same)) return null;
      if (found.length >= PROBLEMS_MAX) dropped += 1;
      else {
        told.add(same);
        found.push({ ...at, path, code, message, hint, severity });
      }
      return null;
    };
  const rank = new Map(files.map((file, index) => [file, index]));
  const order = (p: Problem) => rank.get(p.file) ?? files.length;
  return {
    error: say("error"),
    warning: say("warning"),
    note: say("note"),
    failed: () => failed,
    list: () => {
      const sorted = found
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

/** `FILE:LINE:COL: PATH: problem (hint)`, with the severity unless it is an error. */
export function formatProblem(problem: Problem): string {
  const where = `${problem.file}:${problem.line}:${problem.col}: `;
  const path = problem.path === "" ? "" : `${problem.path}: `;
  const kind = problem.severity === "error" ? "" : `${problem.severity}: `;
  const hint = problem.hint === null ? "" : ` (${problem.hint})`;
  return `${where}${path}${kind}${problem.message}${hint}`;
}

/** Quotes text for a message: cut, and without line breaks. */
export function quoteShort(text: string, max = 60): string {
  return JSON.stringify(cutText(text, max));
}
