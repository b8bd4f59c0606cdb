/**
 * A failed command as a value: its exit status (docs/cli.md#exit-status) and its message. `run.ts`
 * prints it once.
 */
import { nearest } from "../schema/nearest.ts";

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  forbidden: 4,
  unreachable: 5,
  refused: 6,
  notReached: 7,
} as const;
export type Exit = (typeof EXIT)[keyof typeof EXIT];

export type Failure = {
  ok: false;
  exit: Exit;
  /**
   * An error code of the HTTP interface, or one of the command line: `usage`, `unreachable`,
   * `timeout`, `not_reached`.
   */
  code: string;
  message: string;
  details: Record<string, unknown>;
};

export function failure(
  exit: Exit,
  code: string,
  message: string,
  details: Record<string, unknown> = {},
): Failure {
  return { ok: false, exit, code, message, details };
}

/** A failure of the command line itself. */
export function usage(message: string): Failure {
  return failure(EXIT.usage, "usage", message);
}

/** `: did you mean "x"?`, or nothing when no allowed name is near. */
export function didYouMean(given: string, allowed: readonly string[]): string {
  const close = nearest(given, allowed);
  return close === null ? "" : `: did you mean "${close}"?`;
}

/** `unknown WHAT "given" (all, allowed, names): did you mean "x"?` */
export function unknownName(what: string, given: string, allowed: readonly string[]): Failure {
  const hint = didYouMean(given, allowed);
  return usage(`unknown ${what} "${given}" (${allowed.join(", ")})${hint}`);
}
