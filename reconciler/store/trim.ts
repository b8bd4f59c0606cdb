/**
 * Deletes closed operations, orders and old streams beyond their bounds, a batch at a time; for
 * findings and events see `history.ts`. Pure.
 */
import { type SQL, sql } from "drizzle-orm";
import { LIMIT } from "../../schema/limit.ts";

/** Rows deleted by one statement, so that no transaction is long. */
const TRIM_ROWS = 2_000;

/**
 * An agent without a disk begins a stream at each start. Findings of an old stream are also known
 * by `finding_key`; a week is longer than an unreachable agent keeps them.
 */
export const STREAMS_KEPT = 32;

/** Each is a transaction of its own. */
export function trimStatements(auditBefore: number): SQL[] {
  const bound = (name: string, key: string, kept: number, extra: string): SQL =>
    sql.raw(`DELETE FROM ${name} WHERE rowid IN (SELECT rowid FROM ${name}
      WHERE ${key} < (SELECT max(${key}) FROM ${name}) - ${kept} ${extra} LIMIT ${TRIM_ROWS})`);
  return [
    bound("operation", "rowid", LIMIT.operationsKeptMax, "AND state <> 'asked'"),
    bound("command", "rowid", LIMIT.operationsKeptMax, "AND state <> 'accepted'"),
    // One week after its node was removed.
    sql`DELETE FROM cursor WHERE node NOT IN (SELECT id FROM node)
      AND at < (SELECT max(at) FROM cursor) - 604800000`,
    sql`DELETE FROM cursor WHERE rowid IN (SELECT row FROM (SELECT rowid AS row, row_number()
      OVER (PARTITION BY node ORDER BY at DESC, rowid DESC) AS place FROM cursor)
      WHERE place > ${STREAMS_KEPT} LIMIT ${TRIM_ROWS})`,
    // Rows have the order of their first calls.
    sql`DELETE FROM audit WHERE until < ${auditBefore}
      AND id IN (SELECT id FROM audit ORDER BY id LIMIT ${TRIM_ROWS})`,
    sql`DELETE FROM bootstrap WHERE node NOT IN (SELECT id FROM node)`,
  ];
}
