/**
 * Finds and opens the vendor library. Candidates are absolute paths: a bare name falls back to the
 * current directory, where a library could be planted (docs/reference/runtime.md#native-libraries).
 * The last resort asks the loader by name, only from `/`.
 * Adapter: native library, files.
 */
import { existsSync } from "node:fs";
import { type Bound, MANDATORY, bindLibrary } from "./bind.ts";
import type { NvmlFailure } from "../port/reading.ts";

/** The bare `.so` comes with development packages only (docs/reference/nvml.md#loading). */
export const LIBRARY_NAME = "libnvidia-ml.so.1";

/** Searched in this order; the last three are GKE, Container-Optimized OS and WSL. */
const FOLDERS = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/usr/lib64",
  "/usr/lib",
  "/usr/local/nvidia/lib64",
  "/home/kubernetes/bin/nvidia/lib64",
  "/usr/lib/wsl/lib",
] as const;

/** This file system, the node's (mounted or shared /proc), the GPU Operator's driver container. */
const ROOTS = ["", "/host/proc/1/root", "/proc/1/root", "/run/nvidia/driver"] as const;

/** Folders of the other architecture are skipped. */
const FOREIGN = { x64: "aarch64", arm64: "x86_64" } as const;

/** Absolute paths in search order; an explicit path is the only candidate. */
export function libraryCandidates(explicit: string | null, arch: "x64" | "arm64"): string[] {
  if (explicit !== null) return [explicit];
  const folders = FOLDERS.filter((folder) => !folder.includes(FOREIGN[arch]));
  return ROOTS.flatMap((root) => folders.map((folder) => `${root}${folder}/${LIBRARY_NAME}`));
}

export type Opened = { kind: "opened"; bound: Bound } | { kind: "failed"; failure: NvmlFailure };

const failed = (message: string): Opened => ({
  kind: "failed",
  failure: { reason: "library", code: null, message },
});

/** The first candidate with every mandatory symbol; the error names candidates that failed. */
export function openLibrary(explicit: string | null): Opened {
  if (explicit !== null && !explicit.startsWith("/")) {
    return failed(`NVML library path must be absolute, found ${JSON.stringify(explicit)}`);
  }
  const arch = process.arch === "arm64" ? "arm64" : "x64";
  const candidates = libraryCandidates(explicit, arch);
  const problems: string[] = [];
  for (const path of candidates) {
    if (!existsSync(path)) continue;
    const opened = tryOpen(path, problems);
    if (opened !== null) return opened;
  }
  // The loader also searches ld.so.conf and LD_LIBRARY_PATH.
  if (explicit === null && process.cwd() === "/" && !existsSync(`/${LIBRARY_NAME}`)) {
    const quiet: string[] = [];
    const opened = tryOpen(LIBRARY_NAME, quiet);
    if (opened !== null) return opened;
    problems.push(...quiet.filter((text) => !text.includes("No such file")));
  }
  if (problems.length > 0) return failed(problems.join("; ").slice(0, 700));
  return failed(
    explicit === null
      ? `${LIBRARY_NAME} is in none of ${candidates.length} places and unknown to the loader`
      : `${explicit} does not exist`,
  );
}

function tryOpen(path: string, problems: string[]): Opened | null {
  try {
    const bound = bindLibrary(path);
    const lacking = MANDATORY.filter((name) => !bound.has(name));
    if (lacking.length === 0) return { kind: "opened", bound };
    problems.push(`${path} lacks ${lacking.join(", ")}`);
  } catch (error) {
    problems.push(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
  return null;
}
