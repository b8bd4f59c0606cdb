/**
 * Stores spool segments as files `<number>.spool` in one directory. A write counts after fsync, a
 * new file after fsync of the directory. One process may use a directory: a second one keeps its
 * spool in memory.
 *
 * Adapter: the file system.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { syncFolder, writeAll } from "./state-file.ts";
import type { SpoolStorage, WriteAnswer } from "./spool-storage.ts";

const NAME = /^(\d{10})\.spool$/;

export type OpenStorageAnswer =
  | { ok: true; storage: SpoolStorage }
  | { ok: false; message: string };

/**
 * Opens or creates the directory (0700). A full or read-only disk is no error: the stored state,
 * such as the credential, is read, and new records wait in memory (`spool-segment.ts`).
 */
export function openFileStorage(directory: string): OpenStorageAnswer {
  try {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    fs.accessSync(directory, fs.constants.X_OK | fs.constants.R_OK);
    const owner = claim(join(directory, "owner"));
    if (owner !== null) {
      return { ok: false, message: `${directory} is in use by process ${owner}` };
    }
  } catch (cause) {
    return { ok: false, message: `cannot use ${directory}: ${explain(cause)}` };
  }
  return { ok: true, storage: createStorage(directory) };
}

/** Claims `path`, or answers the id of a live owner. The start time tells reused ids apart. */
function claim(path: string): number | null {
  try {
    const [pid, start] = fs.readFileSync(path, "utf8").trim().split(" ");
    const holder = Number(pid);
    if (holder !== process.pid && start !== undefined && startTime(holder) === start) return holder;
  } catch {
    // Without a readable claim, the directory is free.
  }
  // On a read-only disk, reading the stored state matters more than the claim.
  attempt(() => {
    fs.writeFileSync(path, `${process.pid} ${startTime(process.pid)}\n`, { mode: 0o600 });
  });
  return null;
}

/** Field 22 of `/proc/<pid>/stat` (proc_pid_stat(5)), behind a name that may hold spaces. */
function startTime(pid: number): string {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "0";
  } catch {
    return "";
  }
}

function explain(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function createStorage(directory: string): SpoolStorage {
  const pathOf = (segment: number) => join(directory, `${String(segment).padStart(10, "0")}.spool`);
  /** The segment being written. */
  let open: { segment: number; fd: number } | null = null;
  const shut = (): void => {
    if (!open) return;
    fs.closeSync(open.fd);
    open = null;
  };
  const appendTo = (segment: number, bytes: Uint8Array, durable: boolean): void => {
    if (open?.segment !== segment) {
      shut();
      open = { segment, fd: fs.openSync(pathOf(segment), "a", 0o600) };
      syncFolder(pathOf(segment));
    }
    writeAll(open.fd, bytes);
    if (durable) fs.fdatasyncSync(open.fd);
  };
  return {
    list: () => {
      const names = fs.readdirSync(directory).map((name) => NAME.exec(name)?.[1]);
      return names
        .filter((name) => name !== undefined)
        .map(Number)
        .sort((a, b) => a - b);
    },
    load: (segment) => {
      return attempt(() => new Uint8Array(fs.readFileSync(pathOf(segment)))) ?? new Uint8Array(0);
    },
    read: (segment, at, bytes) => {
      return attempt(() => readPart(pathOf(segment), at, bytes)) ?? new Uint8Array(0);
    },
    append: (segment, bytes, durable): WriteAnswer => {
      try {
        appendTo(segment, bytes, durable);
        return { ok: true };
      } catch (cause) {
        attempt(shut);
        return { ok: false, message: explain(cause) };
      }
    },
    remove: (segment) => {
      // A file that cannot be deleted is harmless: its records are acknowledged.
      attempt(() => {
        if (open?.segment === segment) shut();
        fs.rmSync(pathOf(segment), { force: true });
      });
    },
    close: () => {
      attempt(() => {
        shut();
        fs.rmSync(join(directory, "owner"), { force: true });
      });
    },
  };
}

function readPart(path: string, at: number, bytes: number): Uint8Array {
  const fd = fs.openSync(path, "r");
  try {
    const buffer = new Uint8Array(bytes);
    const got = fs.readSync(fd, buffer, 0, bytes, at);
    return buffer.subarray(0, got);
  } finally {
    fs.closeSync(fd);
  }
}

/** `null` on failure; the spool counts an unreadable part as a gap. */
function attempt<T>(work: () => T): T | null {
  try {
    return work();
  } catch {
    return null;
  }
}
