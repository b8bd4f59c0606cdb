/**
 * Why a control plane could not start, in one line that names what and why. Who started it must be
 * able to fix it from that line, so only a bug, which nobody out there can fix, keeps its stack.
 * Pure.
 */

/** A mistake of the person who started it: exit status 2, one line. */
export class UsageError extends Error {}

/** The world refused: exit status 1, one line. The same start may succeed later. */
export class StartError extends Error {}

/** Paths that a flag or the configuration names, with the name under which it does. */
export type Named = readonly (readonly [name: string, path: string | null | undefined])[];

const WORDS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EADDRINUSE: "something else listens there already",
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

/** For a configured path these errors are a mistake in the configuration; others may pass. */
const MISTAKES: readonly string[] = ["EACCES", "EISDIR", "ENOENT", "EEXIST", "ENOTDIR"];
/** A folder that is to be made need not be there. */
const MISTAKES_OF_FOLDER: readonly string[] = ["EEXIST", "ENOTDIR"];

/** What these say is that our own code asked for nonsense, and where is what its stack tells. */
const OURS = /^(ERR_(?!OSSL)|SQLITE_(ERROR|CONSTRAINT|MISUSE|RANGE|MISMATCH))/;

/** The database library tells this in no code, only in text with SQLite's number at the end. */
const UNOPENED = /^ConnectionFailed\(.*: (\d+)"\)$/s;

function codeOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (code === "") return UNOPENED.test(error.message) ? "SQLITE_CANTOPEN" : null;
  return OURS.test(code) ? null : code;
}

/** Bun 1.4.5 says "invalid argument" of a name that resolves to nothing. */
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
 * What to throw for `error`, thrown while `subject` was being opened: what the world refused, or,
 * if it is about one of the `named` paths, a mistake of who named it. A bug is answered as it is.
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

/** Does one step of the start; see `explainStart`. */
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

/** How the failure is logged: one line, and a stack only for what we have to fix. */
export function tellStart(error: unknown): { error: string; stack?: string } {
  const told = explainStart("start", error);
  if (told instanceof StartError) return { error: told.message };
  if (!(told instanceof Error)) return { error: String(told) };
  return { error: told.message, ...(told.stack === undefined ? {} : { stack: told.stack }) };
}
