/**
 * The lock of a state folder: an open exclusive transaction on a small database beside the store.
 * The operating system releases it however the process dies (docs/reference/safety.md#leadership).
 *
 * Adapter: files, signals.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { createClient } from "@libsql/client";
import * as v from "valibot";
import { count } from "../../schema/number.ts";
import type { Log } from "../core/clock.ts";

export type Lock = { release(): void };

/** Takes the lock, or returns `null` at once if another process holds it. */
export async function tryLock(path: string): Promise<Lock | null> {
  const client = createClient({ url: `file:${path}`, concurrency: 1, timeout: 0 });
  try {
    const transaction = await client.transaction("write");
    return {
      release(): void {
        transaction.close();
        client.close();
      },
    };
  } catch (error) {
    client.close();
    if (!String(error).includes("SQLITE_BUSY")) throw error;
    return null;
  }
}

/**
 * Takes the lock, and waits without limit while another process holds it, as during an upgrade.
 * `waiting` is called when the wait begins, and again at doubling intervals.
 */
export async function takeLock(
  path: string,
  wait: (ms: number) => Promise<void>,
  waiting: () => void,
): Promise<Lock> {
  let nextMs = REPORT_MS;
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const lock = await tryLock(path);
    if (lock !== null) return lock;
    if (waitedMs === 0 || waitedMs >= nextMs) {
      waiting();
      if (waitedMs > 0) nextMs *= 2;
    }
    await wait(POLL_MS);
  }
}

const POLL_MS = 200;
const REPORT_MS = 60_000;

/** The holder of a folder's lock, for the log of processes that wait. */
export type Holder = { host: string; pid: number; since: string };

/** File beside the lock. Valid only while the lock is held: a killed process leaves it behind. */
const HOLDER = "lock.holder";

function readHolder(folder: string): Partial<Holder> {
  try {
    const text: unknown = JSON.parse(readFileSync(join(folder, HOLDER), "utf8"));
    const { host, pid, since } = v.parse(HolderFile, text);
    return { host: host.slice(0, 253), pid, since: since.slice(0, 40) };
  } catch {
    return {};
  }
}

/** A full disk does not prevent the start; the holder is then unknown to processes that wait. */
function writeHolder(folder: string, holder: Holder): void {
  try {
    writeFileSync(join(folder, HOLDER), `${JSON.stringify(holder)}\n`, { mode: 0o600 });
  } catch {
    // Only the log of waiting processes uses it.
  }
}

const HolderFile = v.object({ host: v.string(), pid: count, since: v.string() });

const ADVICE =
  "one process uses a state folder: stop the other one, or scale to 1 replica; " +
  "for two replicas use a libSQL server (deploy/overlay/ha)";

/** Locks the state folder, and the database's own folder if that is another one. */
export async function lockState(
  state: string,
  database: string,
  { log, holder }: { log: Log; holder: Holder },
): Promise<Lock> {
  const folders = new Set([resolve(state), dirname(resolve(database.replace(/^file:/, "")))]);
  const locks: Lock[] = [];
  for (const folder of folders) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const waiting = (): void => {
      const { host = null, pid = null, since = null } = readHolder(folder);
      const about = { folder, holder_host: host, holder_pid: pid, since, advice: ADVICE };
      log("warn", "another control plane uses the state folder: waiting", about);
    };
    const lock = await takeLock(join(folder, "lock.db"), (ms) => Bun.sleep(ms), waiting);
    writeHolder(folder, holder);
    locks.push({
      release() {
        rmSync(join(folder, HOLDER), { force: true });
        lock.release();
      },
    });
  }
  return { release: () => locks.forEach((lock) => lock.release()) };
}
