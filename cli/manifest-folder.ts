/**
 * Writes, compares and reads a folder of manifests, with the files that kubectl would apply.
 *
 * Adapter: reads and writes files.
 */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { usage } from "./failure.ts";
import type { Read } from "./host-flag.ts";
import { explainPath } from "./path.ts";

type File = { name: string; text: string };

/** What `kubectl apply -f DIR` takes. */
const APPLIED = /\.(ya?ml|json)$/;
const BYTES_MAX = 4 * 1024 * 1024;

export function writeFolder(folder: string, files: readonly File[]): Read<string[]> {
  try {
    mkdirSync(folder, { recursive: true });
    const paths = files.map(({ name }) => join(folder, name));
    files.forEach(({ text }, at) => writeFileSync(paths[at] ?? "", text));
    return { ok: true, value: paths };
  } catch (error) {
    return usage(`--out ${folder}: ${explainPath(folder, error)}`);
  }
}

/** One line for each file that differs, is missing, or would be applied besides. */
export function compareFolder(folder: string, files: readonly File[]): Read<string[]> {
  const found = listFolder(folder);
  if (!found.ok) return usage(`--check ${folder}: ${found.why}`);
  const lines = files.flatMap(({ name, text }) => {
    if (!found.names.includes(name)) return [`${name}: is missing`];
    return readFileSync(join(folder, name), "utf8") === text ? [] : [`${name}: differs`];
  });
  const ours = new Set(files.map(({ name }) => name));
  const others = found.names.filter((name) => APPLIED.test(name) && !ours.has(name));
  return { ok: true, value: [...lines, ...others.map((name) => `${name}: is not rendered`)] };
}

/** The files of a folder that kubectl applies, in its order. */
export function readFolder(folder: string): Read<File[]> {
  const found = listFolder(folder);
  if (!found.ok) return usage(`${folder}: ${found.why}`);
  const files: File[] = [];
  for (const name of found.names.filter((one) => APPLIED.test(one))) {
    const path = join(folder, name);
    const { size } = statSync(path);
    if (size > BYTES_MAX) return usage(`${path}: has ${size} bytes, more than ${BYTES_MAX}`);
    files.push({ name, text: readFileSync(path, "utf8") });
  }
  if (files.length === 0) return usage(`${folder}: has no .yaml, .yml or .json file`);
  return { ok: true, value: files };
}

function listFolder(folder: string): { ok: true; names: string[] } | { ok: false; why: string } {
  try {
    const names = readdirSync(folder).filter((name) => statSync(join(folder, name)).isFile());
    return { ok: true, names: names.sort() };
  } catch (error) {
    return { ok: false, why: explainPath(folder, error) };
  }
}
