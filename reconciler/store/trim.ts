/**
 * What is deleted of finished work and of streams beyond their bounds, a batch at a time; findings
 * and events: `history.ts`. Pure.
 */
import { type SQL, sql } from "drizzle-orm";
import { LIMIT } from "../../schema/limit.ts";

/** Rows deleted by one trim, so that no transaction is long. */
const TRIM_ROWS = 2_000;

/**
 * An agent without a disk begins a new stream at each start. What an old one said is known by
 * `finding_key`, too; a week is far beyond what an agent that is out of reach keeps of it.
 */
export const STREAMS_KEPT = 32;

/** Each is a transaction of its own. */
export function trimStatements(): SQL[] {
  const bound = (name: string, key: string, kept: number, extra: string): SQL =>
    sql.raw(`DELETE FROM ${name} WHERE rowid IN (SELECT rowid FROM ${name}
      WHERE ${key} < (SELECT max(${key}) FROM ${name}) - ${kept} ${extra} LIMIT ${TRIM_ROWS})`);
  return [
    bound("operation", "rowid", LIMIT.operationsKeptMax, "AND state <> 'asked'"),
    bound("command", "rowid", LIMIT.operationsKeptMax, "AND state <> 'accepted'"),
    // A week after its node was forgotten an agent's stream is history too.
    sql`DELETE FROM cursor WHERE node NOT IN (SELECT id FROM node)
      AND at < (SELECT max(at) FROM cursor) - 604800000`,
    sql`DELETE FROM cursor WHERE rowid IN (SELECT row FROM (SELECT rowid AS row, row_number()
      OVER (PARTITION BY node ORDER BY at DESC, rowid DESC) AS place FROM cursor)
      WHERE place > ${STREAMS_KEPT} LIMIT ${TRIM_ROWS})`,
    sql`DELETE FROM bootstrap WHERE node NOT IN (SELECT id FROM node)`,
  ];
}
