/**
 * The lease's row in the database: read, taken by compare-and-set, renewed, released. It
 * compares no clocks: `server/lease/lease.ts` decides when the lease has expired.
 *
 * Adapter: database.
 */
import type { Client } from "@libsql/client";
import type { LeaseTable } from "../core/store-table.ts";

export function openLeaseTable(client: Client): LeaseTable {
  return {
    async read() {
      const { rows } = await client.execute(
        "SELECT holder, epoch, renewal, address, writes FROM lease WHERE name = 'leader'",
      );
      const [row] = rows;
      if (row === undefined) return null;
      const [holder, epoch, renewal, address, writes] = [0, 1, 2, 3, 4].map((i) => row[i]);
      return {
        holder: String(holder),
        epoch: Number(epoch),
        renewal: Number(renewal),
        address: String(address),
        writes: Number(writes),
      };
    },
    async take(seen, mine) {
      const { holder, address, expiresAt } = mine;
      const answer =
        seen === null
          ? await client.execute({
              sql: `INSERT INTO lease (name, holder, epoch, renewal, expires_at, address, writes)
                VALUES ('leader', ?, 1, 0, ?, ?, 0) ON CONFLICT (name) DO NOTHING`,
              args: [holder, expiresAt, address],
            })
          : await client.execute({
              sql: `UPDATE lease SET holder = ?, epoch = epoch + 1, renewal = 0, expires_at = ?,
                address = ? WHERE name = 'leader' AND holder = ? AND epoch = ? AND renewal = ?`,
              args: [holder, expiresAt, address, seen.holder, seen.epoch, seen.renewal],
            });
      return answer.rowsAffected === 1 ? (seen?.epoch ?? 0) + 1 : null;
    },
    async renew(holder, epoch, expiresAt) {
      const answer = await client.execute({
        sql: `UPDATE lease SET renewal = renewal + 1, expires_at = ?
          WHERE name = 'leader' AND holder = ? AND epoch = ?`,
        args: [expiresAt, holder, epoch],
      });
      return answer.rowsAffected === 1;
    },
    async release(holder, epoch) {
      await client.execute({
        sql: `UPDATE lease SET holder = '', renewal = renewal + 1, address = ''
          WHERE name = 'leader' AND holder = ? AND epoch = ?`,
        args: [holder, epoch],
      });
    },
  };
}

/** Starts the next epoch of an embedded database; the caller holds the folder's lock. */
export async function nextEpoch(client: Client): Promise<number> {
  const { rows } = await client.execute(
    `INSERT INTO lease (name, holder, epoch, renewal, expires_at, address, writes)
      VALUES ('leader', 'lock', 1, 0, 0, '', 0)
      ON CONFLICT (name) DO UPDATE SET epoch = epoch + 1, holder = 'lock' RETURNING epoch`,
  );
  return Number(rows[0]?.[0]);
}

/** Whether the error or one of its causes came from the trigger in `0001_lease.sql`. */
export function isStale(error: unknown): boolean {
  for (let one = error; one instanceof Error; one = one.cause) {
    if (one.message.includes("navarch: stale epoch")) return true;
  }
  return false;
}
