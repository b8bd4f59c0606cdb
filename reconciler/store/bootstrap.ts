/**
 * Set-up attempts in the database: one row each, updated while the attempt runs. The last fifty of
 * each node are kept.
 *
 * Adapter: database.
 */
import { and, desc, eq, lte } from "drizzle-orm";
import type { BatchItem } from "drizzle-orm/batch";
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import type { BootstrapAttempt } from "../../schema/bootstrap.ts";
import type { NodeId } from "../../schema/id.ts";
import { LIMIT } from "../../schema/limit.ts";
import { bootstrap as table } from "../../schema/table.ts";

/** Statements that write an attempt and delete old ones. */
export function attemptItems(db: LibSQLDatabase, one: BootstrapAttempt): BatchItem<"sqlite">[] {
  const { node, attempt, startedAt } = one;
  const doc = JSON.stringify(one);
  const old = lte(table.attempt, attempt - LIMIT.bootstrapsKeptMax);
  return [
    db
      .insert(table)
      .values({ node, attempt, startedAt, doc })
      .onConflictDoUpdate({ target: [table.node, table.attempt], set: { doc } }),
    db.delete(table).where(and(eq(table.node, node), old)),
  ];
}

/** Newest first. */
export async function readAttempts(
  db: LibSQLDatabase,
  node: NodeId,
  limit: number,
): Promise<{ attempt: number; doc: string }[]> {
  return db
    .select({ attempt: table.attempt, doc: table.doc })
    .from(table)
    .where(eq(table.node, node))
    .orderBy(desc(table.attempt))
    .limit(limit);
}
