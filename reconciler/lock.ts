/**
 * One control plane a state folder: the lock is an open exclusive transaction on a small database
 * beside the store, so the operating system lets go of it however the process dies (safety.md §12,
 * F12).
 * Adapter: files.
 */
import { mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { createClient } from "@libsql/client";
import type { Log } from "./clock.ts";

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
 * Takes the lock, waiting for another process to end if it must; `waiting` is called once, when it
 * has to. Never times out: a second instance during an upgrade is meant to wait (F12).
 */
export async function takeLock(
  path: string,
  wait: (ms: number) => Promise<void>,
  waiting: () => void,
): Promise<Lock> {
  let told = false;
  for (;;) {
    const lock = await tryLock(path);
    if (lock !== null) return lock;
    if (!told) waiting();
    told = true;
    await wait(200);
  }
}

/** The state folder's, and that of the database's own folder where it is another one. */
export async function lockState(state: string, database: string, log: Log): Promise<Lock> {
  const folders = new Set([resolve(state), dirname(resolve(database.replace(/^file:/, "")))]);
  const locks: Lock[] = [];
  for (const folder of folders) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const waiting = (): void => log("warn", "another control plane has this folder: waiting");
    locks.push(await takeLock(join(folder, "lock.db"), (ms) => Bun.sleep(ms), waiting));
  }
  return { release: () => locks.forEach((lock) => lock.release()) };
}
