/**
 * Brings a database's schema up to date, in steps. Each is one transaction and is recorded.
 *
 * Adapter: database.
 */
import type { Client } from "@libsql/client";
import { MIGRATIONS } from "../../schema/migration/list.ts";

/** `now` is wall milliseconds, for the record. Rejects if a step fails. */
export async function migrate(client: Client, now: number): Promise<void> {
  await client.execute(
    "CREATE TABLE IF NOT EXISTS migration (tag text PRIMARY KEY NOT NULL, at integer NOT NULL)",
  );
  const rows = await client.execute("SELECT tag FROM migration");
  const done = new Set(rows.rows.map((row) => String(row[0])));
  for (const step of MIGRATIONS) {
    if (done.has(step.tag)) continue;
    const statements = step.sql.split("--> statement-breakpoint");
    const note = { sql: "INSERT INTO migration (tag, at) VALUES (?, ?)", args: [step.tag, now] };
    try {
      await client.migrate([...statements, note]);
    } catch (error) {
      // Another replica that started at the same time may have done the step.
      const again = await client.execute({
        sql: "SELECT tag FROM migration WHERE tag = ?",
        args: [step.tag],
      });
      if (again.rows.length === 0) throw error;
    }
  }
}
