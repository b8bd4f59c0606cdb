/**
 * A process that waits for its state folder is ended by its supervisor in the end, such as by a
 * startup probe: the log then says so, in place of nothing.
 * Adapter: signals.
 */
import type { Log } from "../core/clock.ts";

/** Until the returned call, a signal ends the process, with a line of the log. */
export function tellEnd(log: Log): () => void {
  const on = (signal: string): void => {
    log("warn", "stopped before it had started", { signal });
    process.exit(0);
  };
  const signals = ["SIGTERM", "SIGINT"] as const;
  for (const one of signals) process.on(one, on);
  return () => {
    for (const one of signals) process.off(one, on);
  };
}
