/**
 * Writes backups of the embedded database at an interval (`server.backup`), and deletes the oldest
 * beyond a number. They lie in the state folder: copy them to another machine.
 *
 * Adapter: files.
 */
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Clock, Log } from "../core/clock.ts";
import { parseInstant } from "../../schema/instant.ts";

/** A failed backup is tried again after this, or after the interval if that is shorter. */
const RETRY_MS = 600_000;
/** Timers of more than 24 days fire at once. */
const SLEEP_MS_MAX = 86_400_000;
const NAME = /^navarch-\d{8}T\d{9}Z\.backup$/;

export type BackupSettings = {
  /** `null` = never. */
  intervalMs: number | null;
  keep: number;
};

export type ScheduledBackups = { stop(): void };

/** `write` makes a backup on the disk of `folder`, which has mode 0600, and names its file. */
export function openScheduledBackups(from: {
  folder: string;
  /** Read before each backup: a reload changes them. */
  settings: () => BackupSettings;
  write: () => Promise<string>;
  clock: Clock;
  log: Log;
}): ScheduledBackups {
  const { folder, settings, write, clock, log } = from;
  let cancel: (() => void) | null = null;
  let isStopped = false;
  let failedAt: number | null = null;

  const backUp = async (): Promise<void> => {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const made = await write();
      const file = join(folder, nameAt(clock.wallMs()));
      renameSync(made, file);
      for (const old of namesIn(folder).slice(0, -settings().keep)) rmSync(join(folder, old));
      failedAt = null;
      log("info", "wrote a backup", { file, bytes: statSync(file).size });
    } catch (error) {
      failedAt = clock.wallMs();
      log("error", "cannot write a backup", { folder, error: String(error) });
    }
  };

  /** Milliseconds until the next one; 0 = now. */
  const dueIn = (intervalMs: number): number => {
    const now = clock.wallMs();
    const newest = namesIn(folder).at(-1);
    const dueAt = newest === undefined ? now : timeOf(newest) + intervalMs;
    const retryAt = failedAt === null ? 0 : failedAt + Math.min(RETRY_MS, intervalMs);
    return Math.max(0, Math.min(dueAt - now, intervalMs), retryAt - now);
  };

  const tend = async (): Promise<void> => {
    const { intervalMs } = settings();
    if (intervalMs !== null && dueIn(intervalMs) === 0) await backUp();
    if (isStopped) return;
    const wait = intervalMs === null ? RETRY_MS : Math.max(1_000, dueIn(intervalMs));
    cancel = clock.after(Math.min(wait, SLEEP_MS_MAX), () => void tend());
  };
  void tend();
  return {
    stop() {
      isStopped = true;
      cancel?.();
    },
  };
}

/** From the oldest; other files in the folder are left alone. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => NAME.test(name))
      .sort();
  } catch {
    return [];
  }
}

/** `navarch-20261124T050000000Z.backup`: names have the order of time. */
const nameAt = (at: number): string =>
  `navarch-${new Date(at).toISOString().replace(/[-:.]/g, "")}.backup`;

function timeOf(name: string): number {
  const [, year, month, day, hour, minute, second, ms] =
    /(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z/.exec(name) ?? [];
  return parseInstant(`${year}-${month}-${day}T${hour}:${minute}:${second}.${ms}Z`);
}
