/**
 * Runs of CI/CD pipelines in the database.
 *
 * Adapter: database.
 */
import { desc, sql } from "drizzle-orm";
import type { BatchItem } from "drizzle-orm/batch";
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import { PipelineRow } from "../../schema/console/pipeline.ts";
import { LIMIT } from "../../schema/limit.ts";
import { pipeline } from "../../schema/table.ts";
import { isEnded } from "../core/console/pipeline.ts";
import type { PipelineTable } from "../core/store-table.ts";
import { readDoc } from "./document.ts";
import { parseInstant } from "../../schema/instant.ts";

export function openPipelineTable(
  reader: LibSQLDatabase,
  writer: LibSQLDatabase,
  write: (items: BatchItem<"sqlite">[]) => Promise<unknown[]>,
): PipelineTable {
  return {
    async save(row) {
      const { id, startTime } = row.report;
      const ended = isEnded(row.report) ? 1 : 0;
      const [saved] = await write([
        writer.all<{ id: string }>(sql`
          INSERT INTO pipeline (id, started_at, ended, doc)
          VALUES (${id}, ${parseInstant(startTime)}, ${ended}, ${JSON.stringify(row)})
          ON CONFLICT (id) DO UPDATE
          SET started_at = excluded.started_at, ended = excluded.ended, doc = excluded.doc
          WHERE excluded.started_at > pipeline.started_at
            OR (excluded.started_at = pipeline.started_at AND excluded.ended >= pipeline.ended)
          RETURNING id`),
        writer.run(sql`DELETE FROM pipeline WHERE id IN (SELECT id FROM pipeline
          ORDER BY started_at DESC, id LIMIT -1 OFFSET ${LIMIT.pipelinesKeptMax})`),
      ]);
      return (saved as unknown[]).length > 0;
    },
    async list(limit) {
      const rows = await reader
        .select()
        .from(pipeline)
        .orderBy(desc(pipeline.startedAt), pipeline.id)
        .limit(limit);
      return rows.flatMap(({ doc }) => {
        const read = readDoc(PipelineRow, doc);
        return read.ok ? [read.value] : [];
      });
    },
  };
}
