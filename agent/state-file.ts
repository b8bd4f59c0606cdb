/**
 * Small notes that outlive the agent: what the probes remember, which commands were carried out.
 * Each is replaced as a whole. Without a directory they live as long as the process.
 *
 * Adapter: the file system.
 */
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import * as v from "valibot";

export type StateFiles = {
  /** The text last saved, or `null`. */
  load(name: string): string | null;
  /** Makes the text durable; the answer says why it could not be, or `null`. */
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
 * Puts a file of mode 0600 in the place of another, whole and durable, or throws and leaves that
 * one as it was. A disk that is nearly full takes a part of a write without an error, and a new
 * name survives a power cut only when its folder was synced.
 */
export function replaceFile(path: string, text: string): void {
  const fresh = `${path}.new`;
  try {
    const fd = fs.openSync(fresh, "w", 0o600);
    try {
      // What a crash, or somebody else, has left there keeps its own mode.
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

/** A small file's text; `null` where none is named, or it cannot be read. */
export function readText(path: string | null): string | null {
  if (path === null) return null;
  try {
    return fs.readFileSync(path, "utf8");
  } catch {
    return null;
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

/** Writes until everything is written; what a full disk took in part fails with the next part. */
export function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += fs.writeSync(fd, bytes, at);
}
