/**
 * Explains why a file cannot be read, with the nearest existing name.
 *
 * Adapter: lists folders.
 */
import { readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { nearest } from "../schema/nearest.ts";

const KNOWN: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EISDIR: "is a folder",
  ENOTDIR: "is a file, or below one",
};

/** `error` is what reading threw. */
export function explainPath(path: string, error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ENOENT") return `no such file${suggest(path)}`;
  return KNOWN[code] ?? (error instanceof Error ? error.message : String(error));
}

function suggest(path: string): string {
  const folder = dirname(path);
  try {
    const close = nearest(basename(path), readdirSync(folder));
    if (close === null) return "";
    return ` (did you mean ${path.includes("/") ? join(folder, close) : close}?)`;
  } catch {
    return ` (folder ${folder} does not exist either)`;
  }
}
