/**
 * The recorded findings of the whole fleet in order of arrival, by page. Rows have no index by
 * time, but their ids increase with time, so a binary search finds the first row.
 *
 * Adapter: database.
 */
import { and, asc, gt, gte, max, min } from "drizzle-orm";
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import type { Finding } from "../../schema/finding.ts";
import type { NodeId } from "../../schema/id.ts";
import { finding as table } from "../../schema/table.ts";
import type { PastQuery, PastRow } from "../core/store.ts";

type Stored = { id: number; node: string; receivedAt: number; doc: string };

/** `readable` omits unreadable rows; a page without any readable row is skipped. */
export async function readPast(
  db: LibSQLDatabase,
  query: PastQuery,
  readable: (rows: Stored[]) => Promise<{ row: Stored; value: Finding }[]>,
): Promise<PastRow[]> {
  let after = query.after ?? (await lastBefore(db, query.since));
  for (;;) {
    const rows = await readRows(db, { ...query, after });
    const last = rows.at(-1);
    if (last === undefined) return [];
    const read = await readable(rows);
    if (read.length > 0) {
      return read.map(({ row: { id, node, receivedAt }, value }) => {
        return { id, node: node as NodeId, receivedAt, finding: value };
      });
    }
    after = last.id;
  }
}

function readRows(db: LibSQLDatabase, query: PastQuery & { after: number }): Promise<Stored[]> {
  return db
    .select({
      id: table.id,
      node: table.node,
      receivedAt: table.receivedAt,
      doc: table.doc,
    })
    .from(table)
    .where(and(gt(table.id, query.after), gte(table.receivedAt, query.since)))
    .orderBy(asc(table.id))
    .limit(query.limit);
}

/** The largest id up to which every row is older than `since`. */
async function lastBefore(db: LibSQLDatabase, since: number): Promise<number> {
  const [bounds] = await db.select({ first: min(table.id), last: max(table.id) }).from(table);
  // Both are `null` in an empty table, and `Number` makes them 0.
  let low = Number(bounds?.first) - 1;
  let high = Number(bounds?.last);
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    const [row] = await db
      .select({ id: table.id, receivedAt: table.receivedAt })
      .from(table)
      .where(gt(table.id, middle))
      .orderBy(asc(table.id))
      .limit(1);
    if (row !== undefined && row.receivedAt < since) low = row.id;
    else high = middle;
  }
  return low;
}
