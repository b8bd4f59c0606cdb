/**
 * What the kernel log is read through: records one by one, whatever the log is made of. Never
 * blocks, never throws.
 */

export type SourceRead =
  /** One record's first line, without its line end. Valid until the next read. */
  | { kind: "record"; bytes: Buffer }
  /** Nothing there now. */
  | { kind: "idle" }
  /** The ring was overrun, or a record was skipped: the sequence numbers tell how many. */
  | { kind: "overrun" }
  /** A line too long to be a record was passed over. */
  | { kind: "oversized" }
  /** A file began again (rotated or truncated): its numbering may too. */
  | { kind: "restarted" }
  | { kind: "failed"; message: string };

export type Source = {
  /** True if numbering never goes back: then an older number is a replay. */
  readonly device: boolean;
  next(): SourceRead;
  close(): void;
};

/** Opens the log, or says why it cannot be read. `wake` is for a log that tells when it moved. */
export type OpenSource = (path: string, wake: (() => void) | null) => Source | { error: string };

/**
 * A shorter buffer makes the kernel refuse the read **and lose the record**
 * (docs/reference/kernel-log.md#reading).
 */
export const RECORD_BYTES = 16 * 1024;

function codeOf(error: unknown): string {
  if (typeof error === "object" && error !== null && "code" in error) return String(error.code);
  return "";
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What an error of one read means; anything not named closes the source. */
export function failureOf(error: unknown): SourceRead {
  const code = codeOf(error);
  if (code === "EAGAIN" || code === "EINTR") return { kind: "idle" };
  if (code === "EPIPE" || code === "EINVAL") return { kind: "overrun" };
  return { kind: "failed", message: messageOf(error) };
}
