/**
 * The embedded migrations in order. A released one is never edited: its tag is in users' databases.
 */
import init from "./0000_init.sql" with { type: "text" };
import lease from "./0001_lease.sql" with { type: "text" };

export type Migration = { tag: string; sql: string };

export const MIGRATIONS: readonly Migration[] = [
  { tag: "0000_init", sql: init },
  { tag: "0001_lease", sql: lease },
];
