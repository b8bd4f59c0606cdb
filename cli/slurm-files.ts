/**
 * Writes rendered files into a folder, or compares them with what lies there. No message holds a
 * line of a file with a password.
 *
 * Adapter: reads and writes files.
 */
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { RENDERED_NAMES, type SlurmFile } from "../deploy/slurm/render.ts";
import { EXIT, type Failure, failure, usage } from "./failure.ts";
import type { Read } from "./host-flag.ts";
import { explainPath } from "./path.ts";

export type Written = { path: string; state: "written" | "unchanged" };

/** Each file is replaced whole, and keeps the owner of the one before it. */
export function writeFiles(folder: string, files: readonly SlurmFile[]): Read<Written[]> {
  try {
    mkdirSync(folder, { recursive: true });
    return { ok: true, value: files.map((file) => writeOne(folder, file)) };
  } catch (error) {
    return usage(`--out ${folder}: ${explainPath(folder, error)}`);
  }
}

function writeOne(folder: string, { name, text, mode }: SlurmFile): Written {
  const path = join(folder, name);
  const old = lstatSync(path, { throwIfNoEntry: false });
  const target = old?.isSymbolicLink() === true ? realpathSync(path) : path;
  const before = old === undefined ? null : statSync(target);
  const isSame = before !== null && readFileSync(target, "utf8") === text;
  if (isSame && (before.mode & 0o777) === mode) return { path, state: "unchanged" };
  const partial = `${target}.navarch-new`;
  try {
    rmSync(partial, { force: true });
    writeFileSync(partial, text, { mode, flag: "wx" });
    chmodSync(partial, mode);
    if (before !== null) chownSync(partial, before.uid, before.gid);
    renameSync(partial, target);
  } finally {
    rmSync(partial, { force: true });
  }
  return { path, state: "written" };
}

/** Files that an older inventory gave and this one does not: daemons would still read them. */
export function staleFiles(folder: string, files: readonly SlurmFile[]): string[] {
  const left = RENDERED_NAMES.filter((name) => !files.some((file) => file.name === name));
  return left
    .map((name) => join(folder, name))
    .filter((path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined);
}

/** How the folder differs, one line for each file; empty if it does not. */
export function compareFiles(folder: string, files: readonly SlurmFile[]): string[] | Failure {
  try {
    if (!statSync(folder).isDirectory()) return usage(`--check ${folder}: is not a folder`);
  } catch (error) {
    return usage(`--check ${folder}: ${explainPath(folder, error)}`);
  }
  const stale = staleFiles(folder, files).map((path) => `${path} is not rendered any more`);
  return [...files.flatMap((file) => compareOne(folder, file)), ...stale];
}

function compareOne(folder: string, { name, text, mode }: SlurmFile): string[] {
  const path = join(folder, name);
  let found: string;
  try {
    found = readFileSync(path, "utf8");
  } catch (error) {
    return [`${path}: ${explainPath(path, error)}`];
  }
  const [have, want] = [found.split("\n"), text.split("\n")];
  const at = want.findIndex((line, index) => line !== have[index]);
  const isSecret = mode === 0o600;
  const lines = (index: number): string =>
    isSecret ? "" : `: "${have[index] ?? ""}", expected "${want[index] ?? ""}"`;
  if (found !== text) {
    const index = at < 0 ? want.length - 1 : at;
    return [`${path} differs in line ${index + 1}${lines(index)}`];
  }
  const real = statSync(path).mode & 0o777;
  if (!isSecret || (real & 0o077) === 0) return [];
  return [`${path} has mode 0${real.toString(8)}, and slurmdbd accepts 0600 only`];
}

/** The password in the first line of a file, in the characters that slurmdbd.conf can hold. */
export function readPassword(flag: string, path: string): Read<string> {
  try {
    const stat = statSync(path);
    if (!stat.isFile() || stat.size > 4_096) return usage(`${flag} ${path}: is no password file`);
    const word = readFileSync(path, "utf8").split(/\r?\n/)[0] ?? "";
    if (/^[!$%&()*+,\-./0-9:;<>?@A-Z[\]^_`a-z{|}~]{1,128}$/.test(word)) {
      return { ok: true, value: word };
    }
    const hint = "1 to 128 printable ASCII characters without spaces, quotes, #, = and \\";
    return failure(EXIT.usage, "usage", `${flag} ${path}: the password must be ${hint}`);
  } catch (error) {
    return usage(`${flag} ${path}: ${explainPath(path, error)}`);
  }
}
