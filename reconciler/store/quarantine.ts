/**
 * Quarantined rows: the statements that move them, what replaces them, and the list for people.
 *
 * Adapter: database.
 */
import { desc, sql, type SQL } from "drizzle-orm";
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import type { Credential } from "../../schema/credential.ts";
import { LIMIT } from "../../schema/limit.ts";
import type { QuarantineSource, UnreadableRow } from "../../schema/quarantine.ts";
import { quarantine } from "../../schema/table.ts";
import type { QuarantinedRow } from "../core/store.ts";

/** Replaces an unreadable row. Without a row, a node's first credential would be valid. */
export function revokedCredential(id: string, hash: string): Credential {
  const node = id.startsWith("node:") ? id.slice("node:".length) : null;
  return {
    id,
    hash,
    role: node === null ? "viewer" : "node",
    node: node as Credential["node"],
    label: "the stored record cannot be read",
    createdAt: 0,
    createdBy: "navarch",
    expiresAt: null,
    revokedAt: 0,
  };
}

/** Tables from which a quarantined row is deleted; nodes and pools are overwritten instead. */
const PLACES: Partial<Record<QuarantineSource, string>> = {
  operation: "operation WHERE id",
  command: "command WHERE id",
  fact: "meta WHERE key",
  inbox: "inbox WHERE CAST(id AS TEXT)",
  cursor: "cursor WHERE node || ' ' || stream",
  finding: "finding WHERE CAST(id AS TEXT)",
  event: "event WHERE CAST(id AS TEXT)",
  bootstrap: "bootstrap WHERE node || ' ' || attempt",
};

/** `at` is wall milliseconds; `null` = the database's clock, for readers that have none. */
export function quarantineStatements(rows: readonly UnreadableRow[], at: number | null): SQL[] {
  const out: SQL[] = [];
  for (const { source, key, node, pool, reason, doc, columns, stays } of rows) {
    out.push(sql`INSERT INTO quarantine (source, key, node, pool, at, reason, doc)
      VALUES (${source}, ${key}, ${node}, ${pool}, coalesce(${at}, unixepoch() * 1000), ${reason},
        ${doc})
      ON CONFLICT (source, key) DO UPDATE SET node = excluded.node, pool = excluded.pool,
        at = excluded.at, reason = excluded.reason, doc = excluded.doc`);
    const place = PLACES[source];
    if (place !== undefined && !stays) out.push(sql`DELETE FROM ${sql.raw(place)} = ${key}`);
    if (source === "credential") {
      const revoked = JSON.stringify(revokedCredential(key, columns.hash ?? ""));
      out.push(sql`UPDATE credential SET doc = ${revoked} WHERE id = ${key}`);
    }
  }
  if (rows.length > 0) {
    out.push(sql`DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine)
      - ${LIMIT.quarantineKeptMax}`);
  }
  return out;
}

/** Newest first. */
export async function readQuarantine(db: LibSQLDatabase, limit: number): Promise<QuarantinedRow[]> {
  const rows = await db.select().from(quarantine).orderBy(desc(quarantine.id)).limit(limit);
  return rows.map((row) => ({ ...row, source: row.source as QuarantineSource }));
}
