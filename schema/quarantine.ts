/**
 * Quarantine of stored rows that cannot be read, with text and reason: they stop neither the start
 * of a control plane nor the reading of other rows.
 */

/** The row's table; `fact` is a row of `meta`. */
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
  /** The row's key in its table. */
  key: string;
  node: string | null;
  pool: string | null;
  reason: string;
  /** The original text. */
  doc: string;
  /** Other readable columns that are used. */
  columns: { phase?: string; instance?: string | null; hash?: string };
  /** The row stays in its table: its readable part is used. */
  stays: boolean;
};

/** Without the original text. Times are RFC 3339. */
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
