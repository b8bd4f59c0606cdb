/**
 * Claims of owned machines in the database. The index `claim_host` permits one open claim of a
 * machine, and the leader's fence refuses a claim or a release by a process that no longer leads.
 *
 * Adapter: database.
 */
import { and, eq, isNotNull, isNull, lt, sql } from "drizzle-orm";
import type { BatchItem } from "drizzle-orm/batch";
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import { Claim } from "../../schema/claim.ts";
import { claim as table } from "../../schema/table.ts";
import type { ClaimTable } from "../core/store-table.ts";
import { parseDoc } from "./document.ts";

/** Released claims are kept to recognise late requests and to order the machines. */
const RETENTION_MS = 30 * 24 * 3_600_000;

/** `write` is one transaction under the leader's fence; results in the given order. */
export function openClaimTable(
  reader: LibSQLDatabase,
  writer: LibSQLDatabase,
  write: (items: BatchItem<"sqlite">[]) => Promise<unknown[]>,
): ClaimTable {
  return {
    async read() {
      const rows = await reader.select().from(table).orderBy(table.at, table.name);
      // The columns that change are not in the document.
      return rows.map(({ doc, name, releasedAt }) => {
        return { ...parseDoc(Claim, doc, `claim ${name}`), releasedAt };
      });
    },
    async claim(claim) {
      const { at, name, node, provider, host, instance } = claim;
      const address = placeOf(claim);
      const doc = JSON.stringify(claim);
      const old = and(isNotNull(table.releasedAt), lt(table.releasedAt, at - RETENTION_MS));
      const [, made] = await write([
        writer.delete(table).where(old),
        writer.all<{ name: string }>(sql`
          INSERT INTO claim (name, provider, host, address, instance, at, released_at, doc)
          SELECT ${name}, ${provider}, ${host}, ${address}, ${instance}, ${at}, NULL, ${doc}
          WHERE NOT EXISTS (SELECT 1 FROM claim
            WHERE released_at IS NULL AND (json_extract(doc, '$.node') = ${node}
              OR (address = ${address} AND provider <> ${provider})))
          ON CONFLICT DO NOTHING RETURNING name`),
      ]);
      return (made as unknown[]).length === 1;
    },
    async release(instance, at) {
      const open = and(eq(table.instance, instance), isNull(table.releasedAt));
      await write([writer.update(table).set({ releasedAt: at }).where(open)]);
    },
  };
}

/** Two providers may name one machine by the same address and port. */
function placeOf({ address, port }: Claim): string {
  return `${address.toLowerCase()} ${port ?? 22}`;
}
