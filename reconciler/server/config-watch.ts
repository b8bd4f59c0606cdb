/**
 * Reports when the configuration or policy on disk differs from what this process loaded at its
 * start. Otherwise an edit that was never applied would take effect unexpectedly at a restart.
 *
 * Adapter: reads files.
 */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { LIMIT } from "../../schema/limit.ts";
import type { Clock, Log } from "../core/clock.ts";
import { readDisk } from "../config/open.ts";

/** A saved file is noticed soon; a kubelet takes a minute to update a ConfigMap anyway. */
const LOOK_MS = 30_000;

export type ConfigWatchPorts = {
  clock: Pick<Clock, "after">;
  log: Log;
  /** Errors in the files as they are now; empty = a restart would accept them. */
  check: () => Promise<readonly string[]>;
  /** Called at every check. */
  stale: (isStale: boolean) => void;
};

/** One digest of all files. An unreadable file counts as one fixed content; pipes are not read. */
export async function digestOf(paths: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const path of paths) {
    const isPlain = await stat(path).then(
      (info) => info.isFile(),
      () => false,
    );
    const answer = isPlain ? await readDisk(path, LIMIT.configBytesMax + 1) : null;
    if (answer?.ok === true) hash.update(`${answer.bytes.length}:`).update(answer.bytes);
    else hash.update("-");
  }
  return hash.digest("hex");
}

/** `loaded` = `digestOf(paths)` from just before they were loaded. Ends with the process. */
export function watchConfig(
  paths: readonly string[],
  loaded: string,
  ports: ConfigWatchPorts,
): void {
  let known = loaded;
  const look = async (): Promise<void> => {
    const now = await digestOf(paths);
    ports.stale(now !== loaded);
    if (now === known) return;
    known = now;
    const files = paths.join(", ");
    if (now === loaded) return ports.log("info", "configuration files match the running one again");
    const problems = await ports.check();
    if (problems.length === 0) {
      ports.log("warn", "the configuration has changed on disk: restart to apply it", { files });
    } else {
      const message = "the configuration has changed on disk and is wrong: a restart would fail";
      ports.log("error", message, { files, problems: problems.slice(0, 5) });
    }
  };
  const next = (): void => {
    ports.clock.after(LOOK_MS, () => {
      void look()
        .catch((error: unknown) => {
          ports.log("warn", "cannot check the configuration files", { error: String(error) });
        })
        .finally(next);
    });
  };
  if (paths.length > 0) next();
}
