/** Defines a source of kernel log records. A source never blocks and never throws. */

export type SourceRead =
  /** One record's first line, without its line end. Valid until the next read. */
  | { kind: "record"; bytes: Buffer }
  | { kind: "idle" }
  /** The ring was overrun, or a record was skipped; sequence numbers show how many. */
  | { kind: "overrun" }
  /** A line too long for a record was skipped. */
  | { kind: "oversized" }
  /** A file was rotated or truncated: its numbering may restart. */
  | { kind: "restarted" }
  | { kind: "failed"; message: string };

export type Source = {
  /** True if numbering never goes back, so that an older number is a replay. */
  readonly device: boolean;
  next(): SourceRead;
  close(): void;
};

/** `wake` is for a log that signals new records. */
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

/** The meaning of a read error; an unlisted one closes the source. */
export function failureOf(error: unknown): SourceRead {
  const code = codeOf(error);
  if (code === "EAGAIN" || code === "EINTR") return { kind: "idle" };
  if (code === "EPIPE" || code === "EINVAL") return { kind: "overrun" };
  return { kind: "failed", message: messageOf(error) };
}
