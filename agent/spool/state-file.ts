/**
 * Stores small notes over restarts: probe memory, executed commands, credential. Each file is
 * replaced as a whole. Without a directory nothing is kept.
 *
 * Adapter: the file system.
 */
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import * as v from "valibot";

export type StateFiles = {
  /** The text last saved, or `null`. */
  load(name: string): string | null;
  /** Makes the text durable; answers `null`, or the reason of the failure. */
  save(name: string, text: string): string | null;
};

/** Files of mode 0600 in `directory`; `null` keeps nothing. */
export function openStateFiles(directory: string | null): StateFiles {
  if (directory === null) return { load: () => null, save: () => "no state directory" };
  return {
    load: (name) => readText(join(directory, name)),
    save: (name, text) => {
      try {
        replaceFile(join(directory, name), text);
        return null;
      } catch (cause) {
        return cause instanceof Error ? cause.message : String(cause);
      }
    },
  };
}

/**
 * Replaces a file atomically and durably (mode 0600), or throws and leaves it unchanged. A full
 * disk takes part of a write without an error; a new name is durable once its folder is synced.
 */
export function replaceFile(path: string, text: string): void {
  const fresh = `${path}.new`;
  try {
    const fd = fs.openSync(fresh, "w", 0o600);
    try {
      // A file left there by a crash keeps its own mode.
      fs.fchmodSync(fd, 0o600);
      writeAll(fd, Buffer.from(text));
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(fresh, path);
  } catch (cause) {
    fs.rmSync(fresh, { force: true });
    throw cause;
  }
  syncFolder(path);
}

/** Makes the names in the folder of `path` durable. */
export function syncFolder(path: string): void {
  const folder = fs.openSync(dirname(path), "r");
  try {
    fs.fsyncSync(folder);
  } finally {
    fs.closeSync(folder);
  }
}

/** A small file's text; `null` without a path, or if it cannot be read. */
export function readText(path: string | null): string | null {
  if (path === null) return null;
  try {
    return fs.readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** A memory that only this program writes; a missing field has the value of `empty`. */
export function loadMemory<T extends object>(files: StateFiles, name: string, empty: T): T {
  try {
    return { ...empty, ...(JSON.parse(files.load(name) ?? "null") as T | null) };
  } catch {
    return empty;
  }
}

/** A note that this program stored; `null` if there is none or it cannot be read. */
export function parseNote<S extends v.GenericSchema>(
  schema: S,
  text: string | null,
): v.InferOutput<S> | null {
  try {
    const parsed = v.safeParse(schema, JSON.parse(text ?? "null"));
    return parsed.success ? parsed.output : null;
  } catch {
    return null;
  }
}

/** Writes everything: after a partial write, a full disk fails the next one. */
export function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += fs.writeSync(fd, bytes, at);
}
