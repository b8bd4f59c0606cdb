/**
 * Why the database did not take a write, for the person who asked for it. A fault of our own
 * statements is none of these, and stays as it is. Pure.
 */
import { StoreFailed } from "../core/store.ts";

/** By the beginning of SQLite's code (https://sqlite.org/rescode.html). */
const WHY: readonly [code: string, why: (folder: string) => string][] = [
  ["SQLITE_FULL", (folder) => `the disk of the database is full: free space in ${folder}`],
  ["SQLITE_IOERR", (folder) => `the disk of the database fails or is full: look at ${folder}`],
  ["SQLITE_READONLY", (folder) => `the database is read-only: look at the rights of ${folder}`],
  ["SQLITE_CANTOPEN", (folder) => `the database cannot be opened: look at ${folder}`],
  ["SQLITE_BUSY", () => "another program holds the database: end it"],
  ["SQLITE_LOCKED", () => "another program holds the database: end it"],
  ["SQLITE_CORRUPT", () => "the database is damaged: restore a backup"],
  ["SQLITE_NOTADB", () => "the database is damaged: restore a backup"],
];

/** What to throw for the error of a write in `folder`. */
export function failureOf(error: unknown, folder = "the control plane's --state"): unknown {
  const code = codeOf(error);
  const why = WHY.find(([start]) => code.startsWith(start))?.[1](folder);
  if (why === undefined) return error;
  return new StoreFailed(`${why}, then repeat this (${code})`, { cause: error });
}

/** Of the error or of what caused it: drizzle wraps the driver's. */
function codeOf(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as { code?: unknown };
    if (typeof code === "string" && code.startsWith("SQLITE_")) return code;
  }
  return "";
}
