/**
 * Tasks of the demand queue in the database, under the leader's fence. Finished ones stay for those
 * who ask what became of them, until they are trimmed.
 *
 * Adapter: database.
 */
import { and, desc, eq, isNull, lt, sql } from "drizzle-orm";
import type { BatchItem } from "drizzle-orm/batch";
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import { Task } from "../../schema/console/queue.ts";
import { task } from "../../schema/table.ts";
import type { TaskTable } from "../core/store-table.ts";
import { each } from "./change.ts";
import { parseDoc } from "./document.ts";

/** Rows deleted at once, so that no transaction is long. */
const TRIM_ROWS = 2_000;

const read = ({ id, doc }: { id: string; doc: string }): Task => parseDoc(Task, doc, `task ${id}`);

export function openTaskTable(
  reader: LibSQLDatabase,
  writer: LibSQLDatabase,
  write: (items: BatchItem<"sqlite">[]) => Promise<unknown[]>,
): TaskTable {
  return {
    async open() {
      const [rows, last] = await Promise.all([
        reader.select().from(task).where(isNull(task.endedAt)).orderBy(task.ordinal),
        reader.select({ ordinal: sql<number>`max(ordinal)` }).from(task),
      ]);
      return { tasks: rows.map(read), ordinal: last[0]?.ordinal ?? 0 };
    },
    async byId(id) {
      const [row] = await reader.select().from(task).where(eq(task.id, id));
      return row === undefined ? null : read(row);
    },
    async list({ state, before, limit }) {
      const where = and(
        state === null ? undefined : eq(task.state, state),
        before === null ? undefined : lt(task.ordinal, before),
      );
      const rows = reader.select().from(task).where(where).orderBy(desc(task.ordinal));
      return (await rows.limit(limit)).map(read);
    },
    async commit(tasks) {
      const rows = tasks.map((one) => {
        return [one.id, one.ordinal, one.state, one.endedAt, JSON.stringify(one)];
      });
      await write([
        writer.run(sql`INSERT INTO task (id, ordinal, state, ended_at, doc)
          SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM ${each(rows)}
          ON CONFLICT (id) DO UPDATE SET state = excluded.state, ended_at = excluded.ended_at,
          doc = excluded.doc`),
      ]);
    },
    async trim(before) {
      await write([
        writer.run(sql`DELETE FROM task WHERE id IN
          (SELECT id FROM task WHERE ended_at < ${before} LIMIT ${TRIM_ROWS})`),
      ]);
    },
  };
}
