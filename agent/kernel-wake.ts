/**
 * Says when the kernel log has moved, so that nobody has to ask ten times a second: asking every
 * 100 ms costs about a tenth of a percent of a core, half of what the whole agent may use. What is
 * read here is thrown away; the records themselves come from `kernel/read.ts`.
 *
 * Adapter: a character device.
 */
import { statSync } from "node:fs";
import type { Clock } from "./port.ts";

/**
 * An idle look is enough when the device says that it moved: it is for the library's events only.
 */
const WATCHED_POLL_MS = 2_000;
/** A FIFO or a file must not be read by two, so it is asked instead; these are for rehearsals. */
const UNWATCHED_POLL_MS = 100;
const REOPEN_MS = 5_000;

export type KernelWatch = { pollMs: number; close(): void };

/** Calls `wake` after anything was written to the device at `path`. */
export function watchKernelLog(path: string, clock: Clock, wake: () => void): KernelWatch {
  if (!isDevice(path)) return { pollMs: UNWATCHED_POLL_MS, close: () => {} };
  let open = true;
  let stop = () => {};
  const follow = async () => {
    const reader = Bun.file(path).stream().getReader();
    stop = () => void reader.cancel().catch(() => {});
    while (open && !(await reader.read()).done) wake();
  };
  // An overrun of the ring ends the stream with an error; the periodic look bridges the pause.
  const again = () => {
    if (open) clock.after(REOPEN_MS, begin);
  };
  const begin = () => {
    if (open) follow().then(again, again);
  };
  begin();
  return {
    pollMs: WATCHED_POLL_MS,
    close: () => {
      open = false;
      stop();
    },
  };
}

function isDevice(path: string): boolean {
  try {
    return statSync(path).isCharacterDevice();
  } catch {
    return false;
  }
}
