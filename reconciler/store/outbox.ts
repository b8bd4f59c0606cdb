/**
 * Webhook deliveries in the database.
 *
 * Adapter: database.
 */
import { and, eq, lte, sql } from "drizzle-orm";
import type { BatchItem } from "drizzle-orm/batch";
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import { outbox } from "../../schema/table.ts";
import type { Delivery, DeliveryOutcome } from "../core/store.ts";

/** Oldest first. */
export function readDeliveries(
  db: LibSQLDatabase,
  now: number,
  limit: number,
): Promise<Delivery[]> {
  // Only the oldest row of each node, so that a receiver gets them in order.
  const oldest = sql`${outbox.id} IN (SELECT min(id) FROM outbox GROUP BY node)`;
  return db
    .select()
    .from(outbox)
    .where(and(lte(outbox.notBefore, now), oldest))
    .orderBy(outbox.id)
    .limit(limit);
}

export function settleItem(
  db: LibSQLDatabase,
  id: number,
  outcome: DeliveryOutcome,
): BatchItem<"sqlite"> {
  if (outcome.kind !== "retry") return db.delete(outbox).where(eq(outbox.id, id));
  const attempts = sql`${outbox.attempts} + 1`;
  const { notBefore } = outcome;
  return db.update(outbox).set({ attempts, notBefore }).where(eq(outbox.id, id));
}
