/**
 * Workers of AgentPools and claims of their slots in the database. One transaction under the
 * leader's fence: a claim and the worker that it keeps are never apart.
 *
 * Adapter: database.
 */
import { lt, sql } from "drizzle-orm";
import type { BatchItem } from "drizzle-orm/batch";
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import { SlotClaim, Worker } from "../../schema/agentpool.ts";
import { slotClaim, worker } from "../../schema/table.ts";
import type { WorkerTable } from "../core/store-table.ts";
import { auditStatements, each, listed } from "./change.ts";
import { parseDoc } from "./document.ts";

export function openWorkerTable(
  reader: LibSQLDatabase,
  writer: LibSQLDatabase,
  write: (items: BatchItem<"sqlite">[]) => Promise<unknown[]>,
): WorkerTable {
  return {
    async read() {
      const [workers, claims] = await Promise.all([
        reader.select().from(worker).orderBy(worker.name),
        reader.select().from(slotClaim),
      ]);
      const read = claims.map(({ id, doc }) => parseDoc(SlotClaim, doc, `claim ${id}`));
      return {
        workers: workers.map(({ name, doc }) => parseDoc(Worker, doc, `worker ${name}`)),
        claims: read.sort((a, b) => a.ordinal - b.ordinal),
      };
    },
    async commit({ workers, removed, claims, audit }) {
      const rows = workers.map((one) => [one.name, one.pool, JSON.stringify(one)]);
      const claimRows = claims.map((one) => [one.id, one.pool, one.endedAt, JSON.stringify(one)]);
      const statements = [
        sql`INSERT INTO worker (name, pool, doc)
          SELECT value->>0, value->>1, value->>2 FROM ${each(rows)}
          ON CONFLICT (name) DO UPDATE SET pool = excluded.pool, doc = excluded.doc`,
        sql`DELETE FROM worker WHERE name IN ${listed(removed)}`,
        sql`INSERT INTO slot_claim (id, pool, ended_at, doc)
          SELECT value->>0, value->>1, value->>2, value->>3 FROM ${each(claimRows)}
          ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, doc = excluded.doc`,
        ...auditStatements(audit),
      ];
      await write(statements.map((one) => writer.run(one)));
    },
    async trim(before) {
      await write([writer.delete(slotClaim).where(lt(slotClaim.endedAt, before))]);
    },
  };
}
