/**
 * Reads events by filter, forward from an id or back from the newest.
 *
 * Adapter: database.
 */
import { and, desc, eq, gt, gte, lt, sql } from "drizzle-orm";
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import * as table from "../../schema/table.ts";
import type { EventQuery } from "../core/store.ts";

type EventRow = typeof table.event.$inferSelect;

export async function readEventRows(
  reader: LibSQLDatabase,
  query: EventQuery,
): Promise<EventRow[]> {
  const { event } = table;
  const { node, pool, since, after, before = null, kind = null, text = null, limit } = query;
  const where = [
    node === null ? undefined : eq(event.node, node),
    pool === null ? undefined : eq(event.pool, pool),
    since === null ? undefined : gte(event.at, since),
    after === null ? undefined : gt(event.id, after),
    before === null ? undefined : lt(event.id, before),
    kind === null ? undefined : eq(event.kind, kind),
    text === null ? undefined : sql`instr(lower(${event.message}), lower(${text})) > 0`,
  ];
  return reader
    .select()
    .from(event)
    .where(and(...where))
    .orderBy(after === null ? desc(event.id) : event.id)
    .limit(limit);
}
