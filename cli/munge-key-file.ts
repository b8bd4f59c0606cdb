/**
 * Draws, reads and stores a munge key. No message holds any part of a key.
 *
 * Adapter: reads and writes key files; takes random bytes.
 */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { judgeKeySize } from "../bootstrap/builtin/slurm-node.ts";
import { EXIT, failure, type Failure, usage } from "./failure.ts";
import type { Read } from "./host-flag.ts";
import { explainPath } from "./path.ts";

/** What `mungekey` writes at most. */
const KEY_BYTES = 1024;

export const drawKey = (): Uint8Array => randomBytes(KEY_BYTES);

/** The key in a file, which must be a regular file: a device would not end. */
export function readKey(flag: string, path: string): Read<Uint8Array> {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) return usage(`${flag} ${path}: is not a regular file`);
    const problem = judgeKeySize(stat.size);
    if (problem !== null) return usage(`${flag} ${path}: ${problem}`);
    return { ok: true, value: readFileSync(path) };
  } catch (error) {
    return usage(`${flag} ${path}: ${explainPath(path, error)}`);
  }
}

/**
 * Writes a key with mode 0400, whole or not at all. An existing file is replaced only with `force`:
 * daemons that hold its key would no longer understand each other.
 */
export function storeKey(path: string, key: Uint8Array, force: boolean): Failure | null {
  if (!force && exists(path)) return refuse(path);
  const partial = `${path}.${randomBytes(6).toString("hex")}.part`;
  try {
    const file = openSync(partial, "wx", 0o400);
    try {
      writeFileSync(file, key);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    // The mode of `open` is reduced by the umask.
    chmodSync(partial, 0o400);
    if (force) renameSync(partial, path);
    // Fails where another process has written the file meanwhile.
    else linkSync(partial, path);
  } catch (error) {
    if (!force && exists(path)) return refuse(path);
    return usage(`--out ${path}: ${explainPath(path, error)}`);
  } finally {
    rmSync(partial, { force: true });
  }
  return null;
}

/** A dangling link counts. */
function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function refuse(path: string): Failure {
  const message = `--out ${path}: exists already; --force replaces the key in it`;
  return failure(EXIT.failed, "exists", message);
}
