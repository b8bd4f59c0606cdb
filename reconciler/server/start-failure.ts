/**
 * Formats why a control plane could not start: one line with the object and the cause, from which
 * the operator can fix it. Only a bug keeps its stack. Pure.
 */

/** A mistake of the operator: exit status 2, one line. */
export class UsageError extends Error {}

/** The environment refused: exit status 1, one line. The same start may succeed later. */
export class StartError extends Error {}

/** Configured paths, each with the flag or key that names it. */
export type Named = readonly (readonly [name: string, path: string | null | undefined])[];

const WORDS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EADDRINUSE: "the address is in use",
  EADDRNOTAVAIL: "this machine has no such address",
  ECONNREFUSED: "connection refused",
  EEXIST: "is a file, expected a folder",
  EISDIR: "is a folder, expected a file",
  EMFILE: "too many open files",
  ENOENT: "no such file or folder",
  ENOSPC: "no space left on the disk",
  ENOTDIR: "is below a file, expected a folder",
  ENOTFOUND: "no such host",
  EROFS: "the file system is read-only",
};

/** Errors that are a mistake in the configuration when they concern a configured path. */
const MISTAKES: readonly string[] = ["EACCES", "EISDIR", "ENOENT", "EEXIST", "ENOTDIR"];
/** The same for a folder that the start creates. */
const MISTAKES_OF_FOLDER: readonly string[] = ["EEXIST", "ENOTDIR"];

/** Errors of our own code, which keep their stack. */
const OURS = /^(ERR_(?!OSSL)|SQLITE_(ERROR|CONSTRAINT|MISUSE|RANGE|MISMATCH))/;

/** The database library reports this without a code; SQLite's number ends the text. */
const UNOPENED = /^ConnectionFailed\(.*: (\d+)"\)$/s;

function codeOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (code === "") return UNOPENED.test(error.message) ? "SQLITE_CANTOPEN" : null;
  return OURS.test(code) ? null : code;
}

/** Bun 1.4.5 reports "invalid argument" for a name that does not resolve. */
const UNKNOWN_HOST = "no such host is known, or it is none of this machine's addresses";

function wordsOf(error: Error, code: string): string {
  if (UNOPENED.test(error.message)) return "cannot be opened as a database";
  if (code === "EINVAL" && "syscall" in error && error.syscall === "listen") return UNKNOWN_HOST;
  const known = WORDS[code];
  if (known !== undefined) return known;
  const line = error.message.split("\n")[0] ?? "";
  return line.startsWith(`${code}: `) ? line.slice(code.length + 2) : line;
}

/**
 * What to throw for `error`, thrown while `subject` was opened: a `StartError`, or a `UsageError`
 * for a mistake about one of the `named` paths. A bug is returned as it is.
 */
export function explainStart(subject: string, error: unknown, named: Named = []): unknown {
  if (error instanceof UsageError || error instanceof StartError) return error;
  const code = codeOf(error);
  if (code === null || !(error instanceof Error)) return error;
  // A URL is no path, and may hold what should not be repeated.
  const isPath = "path" in error && typeof error.path === "string" && !error.path.includes("://");
  const path = isPath ? String(error.path) : null;
  const isFolder = "syscall" in error && error.syscall === "mkdir";
  const mistaken = (isFolder ? MISTAKES_OF_FOLDER : MISTAKES).includes(code);
  const words = `${isFolder && !mistaken ? "cannot be made: " : ""}${wordsOf(error, code)}`;
  const name = named.find(([, one]) => one === path)?.[0];
  if (path !== null && name !== undefined) {
    return new (mistaken ? UsageError : StartError)(`${name} ${path}: ${words}`);
  }
  const about = path === null || subject.includes(path) ? subject : `${subject}: ${path}`;
  return new StartError(`${about}: ${words}`);
}

/** Runs one step of the start; see `explainStart`. */
export async function stepOf<T>(
  subject: string,
  work: () => T | Promise<T>,
  named: Named = [],
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw explainStart(subject, error, named);
  }
}

/** The log fields of a failed start; a stack only for a bug. */
export function failureFields(error: unknown): { error: string; stack?: string } {
  const cause = explainStart("start", error);
  if (cause instanceof StartError) return { error: cause.message };
  if (!(cause instanceof Error)) return { error: String(cause) };
  return { error: cause.message, ...(cause.stack === undefined ? {} : { stack: cause.stack }) };
}
