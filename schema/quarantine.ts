/**
 * A stored row that cannot be read is set aside with its original text and the reason, so that it
 * stops neither the start of a control plane nor the reading of any other row.
 */

/** The kind of row; the table it comes from, but for `fact` (rows of `meta`). */
export const QUARANTINE_SOURCES = [
  "node",
  "pool",
  "operation",
  "command",
  "credential",
  "fact",
  "inbox",
  "cursor",
  "finding",
  "event",
  "bootstrap",
] as const;
export type QuarantineSource = (typeof QUARANTINE_SOURCES)[number];

export type UnreadableRow = {
  source: QuarantineSource;
  /** What identifies the row in its table, as text. */
  key: string;
  node: string | null;
  pool: string | null;
  reason: string;
  /** The original text. */
  doc: string;
  /** Other columns that are readable; empty where nothing is made of them. */
  columns: { phase?: string; instance?: string | null; hash?: string };
  /** What could be read of it is still used, so the row stays where it is. */
  stays: boolean;
};

/** Without the original text: that may hold anything. Times are RFC 3339. */
export type QuarantineView = {
  id: number;
  source: QuarantineSource;
  key: string;
  node_id: string | null;
  pool: string | null;
  at: string;
  reason: string;
  bytes: number;
};
