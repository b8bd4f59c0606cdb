/** Responses about the configuration: reloads, status, differences. */

/** One reload of the configuration. */
export type ReloadView = {
  outcome: "applied" | "unchanged" | "refused" | "invalid" | "failed";
  at: string;
  by: string;
  /** Of the configuration in force. */
  hash: string;
  restart: string[];
  problems: string[];
  warnings: string[];
  changed: number;
};

export type ConfigStatusView = {
  files: string[];
  hash: string;
  policy: string;
  /** When it was loaded. */
  since: string;
  /** The files differ from what is in force. */
  stale: boolean;
  last: ReloadView | null;
  /** Removed pools whose nodes leave. */
  removing: { pool: string; by: string; at: string; nodes: number }[];
  /** Pools with nodes that the configuration lacks without a permission to end them. */
  orphaned: { pool: string; nodes: number; message: string }[];
};

export type ConfigDiffView = {
  hash: string;
  next: string;
  /** `null` = the same, or not compared. */
  policy: { before: string; after: string } | null;
  changes: { key: string; before: string | null; after: string | null; restart: boolean }[];
  /** What a reload does at once. */
  effects: { object: string; message: string }[];
  restart: string[];
  /** Why a reload without --allow-pool-removal would be refused. */
  refused: string[];
  /** Those that stay with --allow-pool-removal. */
  refused_always: string[];
};
