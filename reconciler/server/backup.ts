/**
 * Backup and restore of the embedded database. The copy is consistent, taken while the control
 * plane runs, and includes the fleet's identity. It holds the secret from which every node's
 * credential is derived, so it has mode 0600 and must be stored like a secret.
 *
 * Adapter: files, database.
 */
import { createClient, type Client } from "@libsql/client";
import { chmodSync, copyFileSync, existsSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { MIGRATIONS } from "../../schema/migration/list.ts";
import { foldRestored } from "../core/fold/restored.ts";
import { recoverSnapshot } from "../core/fold/unreadable.ts";
import { type Identity, parseIdentity, readIdentity, writeIdentity } from "../security/identity.ts";
import type { Store } from "../core/store.ts";
import { tryLock } from "./lock.ts";
import { failureOf } from "../store/failure.ts";
import { openLibsqlStore } from "../store/libsql.ts";

/** More ids than are used between two backups, and far below 2^53. */
const IDS_SKIPPED = 1_000_000;

const ENDS = ["", "-wal", "-shm"];

/** Opens the database at `path` for `work`, and closes it. */
async function using<T>(path: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = createClient({ url: `file:${path}`, concurrency: 1, timeout: 5_000 });
  try {
    return await work(client);
  } catch (error) {
    throw failureOf(error, dirname(path));
  } finally {
    client.close();
  }
}

/**
 * Copies the database `file` to `out`, which must not exist. `VACUUM INTO` blocks this process,
 * about a second for 200 MB.
 */
export async function writeBackup(file: string, out: string, identity: Identity): Promise<void> {
  await using(file, (from) => from.execute({ sql: "VACUUM INTO ?", args: [out] }));
  chmodSync(out, 0o600);
  await using(out, async (copy) => {
    await copy.execute({
      sql: "INSERT OR REPLACE INTO meta (key, value) VALUES ('identity', ?)",
      args: [JSON.stringify(identity)],
    });
    await copy.execute("PRAGMA journal_mode=DELETE");
  });
}

export type RestoreAnswer =
  | { kind: "ok"; fleetId: string; nodes: number; forgotten: number; kept: string | null }
  | { kind: "refused"; message: string };

/**
 * Replaces the database in the folder `state` by a backup, and keeps the old one beside it. `now`
 * is wall milliseconds. A refusal leaves the folder unchanged.
 */
export async function restoreBackup(
  backup: string,
  state: string,
  now: number,
): Promise<RestoreAnswer> {
  if (!existsSync(backup)) return { kind: "refused", message: `${backup} does not exist` };
  const lock = await tryLock(join(state, "lock.db"));
  if (lock === null) {
    const message = `a control plane runs on ${state}: stop it first`;
    return { kind: "refused", message };
  }
  const file = join(state, "navarch.db");
  const scratch = `${file}.restoring`;
  try {
    for (const end of ENDS) rmSync(scratch + end, { force: true });
    copyFileSync(backup, scratch);
    chmodSync(scratch, 0o600);
    const checked = await check(scratch, state);
    if (typeof checked === "string") {
      return { kind: "refused", message: `${backup}: ${checked}` };
    }
    const epoch = existsSync(file) ? await epochOf(file) : 0;
    const counts = await settle(scratch, now, epoch);
    const old = `${file}.before-${new Date(now).toISOString()}`;
    const kept = existsSync(file) ? old : null;
    // Also a log without its database: SQLite would replay it into the restored one.
    for (const end of ENDS) if (existsSync(file + end)) renameSync(file + end, old + end);
    renameSync(scratch, file);
    if (readIdentity(state) === null) writeIdentity(state, checked);
    return { kind: "ok", fleetId: checked.fleetId, ...counts, kept };
  } finally {
    for (const end of ENDS) rmSync(scratch + end, { force: true });
    lock.release();
  }
}

/** The identity in a backup that may be restored here, or the reason against it. */
async function check(scratch: string, state: string): Promise<Identity | string> {
  try {
    return await using(scratch, (client) => judge(client, state));
  } catch (error) {
    return `not a database of ours: ${error instanceof Error ? error.message : String(error)}`;
  }
}

async function judge(client: Client, state: string): Promise<Identity | string> {
  const whole = await client.execute("PRAGMA integrity_check");
  const found = String(whole.rows[0]?.[0]);
  if (found !== "ok") return `the database is damaged: ${found}`;
  const steps = await client.execute("SELECT tag FROM migration");
  const known = new Set(MIGRATIONS.map((step) => step.tag));
  const newer = steps.rows.map((row) => String(row[0])).find((tag) => !known.has(tag));
  if (newer !== undefined) return `it is of a newer version (${newer}): use that to restore it`;
  const rows = await client.execute("SELECT value FROM meta WHERE key = 'identity'");
  const [row] = rows.rows;
  if (row === undefined) return "it names no fleet: not a backup made by `navarch backup`";
  const identity = parseIdentity(String(row[0]), "identity");
  const own = readIdentity(state);
  if (own === null || own.fleetId === identity.fleetId) return identity;
  return `it is of fleet ${identity.fleetId}, and ${state} of fleet ${own.fleetId}`;
}

function epochOf(file: string): Promise<number> {
  const read = async (client: Client): Promise<number> => {
    const { rows } = await client.execute("SELECT epoch FROM lease WHERE name = 'leader'");
    return Number(rows[0]?.[0] ?? 0);
  };
  // The replaced database may be damaged, or older than leases.
  return using(file, read).catch(() => 0);
}

/**
 * Numbers that were used after the backup are not used again: receivers of web hooks drop a number
 * that they have seen, and readers of events continue after the last one that they read.
 */
async function skipIds(client: Client): Promise<void> {
  await client.execute(`UPDATE sqlite_sequence SET seq = seq + ${IDS_SKIPPED}`);
  for (const name of ["event", "outbox"]) {
    await client.execute({
      sql: `INSERT INTO sqlite_sequence (name, seq) SELECT ?1, ${IDS_SKIPPED}
        WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?1)`,
      args: [name],
    });
  }
}

/** Resets what may be out of date in a store that was restored. */
export async function settleRestored(
  store: Store,
  now: number,
): Promise<{ nodes: number; forgotten: number }> {
  const { snapshot, change: recovered } = recoverSnapshot(await store.load(), now);
  const restored = foldRestored(snapshot, now);
  const change = {
    ...restored,
    pools: recovered.pools,
    facts: [...restored.facts, ...recovered.facts],
    events: recovered.events,
    quarantined: recovered.quarantined,
  };
  await store.commit(change);
  return { nodes: snapshot.nodes.length, forgotten: change.removedNodes.length };
}

/** Resets what may be out of date, and makes the epoch newer than any that was used. */
async function settle(
  scratch: string,
  now: number,
  epoch: number,
): Promise<{ nodes: number; forgotten: number }> {
  await using(scratch, skipIds);
  const store = await openLibsqlStore({ url: `file:${scratch}`, now });
  const counts = await settleRestored(store, now).finally(() => store.close());
  await using(scratch, async (client) => {
    await client.execute({
      sql: "UPDATE lease SET epoch = max(epoch, ?) + 1 WHERE name = 'leader'",
      args: [epoch],
    });
    await client.execute("DELETE FROM meta WHERE key = 'identity'");
    await client.execute("PRAGMA wal_checkpoint(TRUNCATE)");
  });
  return counts;
}
