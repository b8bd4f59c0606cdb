/**
 * The kernel log that the options name, opened when the agent's core asks for it.
 * Adapter: the type of a file.
 */
import { statSync } from "node:fs";
import { type KernelLogStats, openKernelLog } from "../kernel/read.ts";
import type { OpenKernelLog } from "../report/listen.ts";
import type { Options } from "../option.ts";
import type { Identity } from "../report/part.ts";
import type { Clock } from "../port.ts";

/**
 * How often the log is looked at. A device says itself when it moved, as the library does of its
 * events: looking at it proves that it can still be read. A FIFO or a file, which are for
 * rehearsals, say nothing; without a log only the made-up library's events are asked for.
 */
const POLL_MS = { device: 10_000, file: 100, none: 250 };

export function pollMsOf(path: string | null): number {
  if (path === null) return POLL_MS.none;
  try {
    return statSync(path).isCharacterDevice() ? POLL_MS.device : POLL_MS.file;
  } catch {
    return POLL_MS.file;
  }
}

type Log = ReturnType<typeof openKernelLog>;

/** Opens the log, and reports its counters. `wake` is called whenever a device has records. */
export function createLogOpener(
  options: Options,
  identity: Identity,
  clock: Clock,
  wake?: () => void,
): { open: OpenKernelLog; stats: () => KernelLogStats | null } {
  const { kernelLog: path, sinceMs } = options;
  const { bootId, bootWallMs } = identity;
  let opened: Log | null = null;
  const open: OpenKernelLog = (cursor, gpus) => {
    if (path === null) return null;
    const since = sinceMs === null ? {} : { since: sinceMs };
    const follow = wake ? { wake } : {};
    opened = openKernelLog({ path, bootId, bootWallMs, clock, gpus, cursor, ...since, ...follow });
    return opened;
  };
  return { open, stats: () => opened?.stats() ?? null };
}
