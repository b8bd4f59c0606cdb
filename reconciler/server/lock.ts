/**
 * One control plane a state folder: the lock is an open exclusive transaction on a small database
 * beside the store, so the operating system lets go of it however the process dies
 * (docs/reference/safety.md#leadership).
 * Adapter: files.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { createClient } from "@libsql/client";
import * as v from "valibot";
import { count } from "../../schema/number.ts";
import type { Log } from "../core/clock.ts";

export type Lock = { release(): void };

/** Takes the lock, or answers `null` at once if another process has it. */
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
 * Takes the lock, waiting for another process to end if it must; `waiting` is called when it has
 * to, and again ever more rarely. Never times out: a second instance during an upgrade is meant to
 * wait.
 */
export async function takeLock(
  path: string,
  wait: (ms: number) => Promise<void>,
  waiting: () => void,
): Promise<Lock> {
  let told = TELL_MS;
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const lock = await tryLock(path);
    if (lock !== null) return lock;
    if (waitedMs === 0 || waitedMs >= told) {
      waiting();
      if (waitedMs > 0) told *= 2;
    }
    await wait(POLL_MS);
  }
}

const POLL_MS = 200;
const TELL_MS = 60_000;

/** The holder of a folder's lock, shown to processes that wait for it. */
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

/** A full disk does not block the start; the holder is then unknown to processes that wait. */
function writeHolder(folder: string, holder: Holder): void {
  try {
    writeFileSync(join(folder, HOLDER), `${JSON.stringify(holder)}\n`, { mode: 0o600 });
  } catch {
    // Nothing depends on it.
  }
}

const HolderFile = v.object({ host: v.string(), pid: count, since: v.string() });

const ADVICE =
  "one process uses a state folder: stop the other one, or scale to 1 replica; " +
  "for two replicas use a libSQL server (deploy/overlay/ha)";

/** The state folder's, and that of the database's own folder where it is another one. */
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
