/**
 * How the process ends by a signal, from its first line on. Adapter: process.
 */
import type { Log } from "../core/clock.ts";

/** Why the process ends, and with which code. */
interface End {
  why: Record<string, string>;
  code: number;
}

export interface Signals {
  /** A signal or a new `owner` of the store stops by `stop`; the exit code then: 0 or 1. */
  stopWith(owner: Promise<string>, stop: () => Promise<void>): Promise<number>;
}

/**
 * Until `stopWith`, while the process waits for its folder or opens, a signal ends it with 0.
 * `leave` ends the process although something may still hold it.
 */
export function openSignals(log: Log, leave: (code: number) => void): Signals {
  let on = ({ why }: End): void => {
    log("warn", "stopped before it had started", why);
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"]) {
    process.on(signal, () => on({ why: { signal }, code: 0 }));
  }
  return {
    stopWith: (owner, stop) =>
      new Promise((resolve) => {
        let isStopping = false;
        const end = (code: number): void => {
          resolve(code);
          leave(code);
        };
        on = ({ why, code }) => {
          if (isStopping) return;
          isStopping = true;
          log("info", "stopping", why);
          stop().then(
            () => {
              log("info", "stopped");
              end(code);
            },
            (error: unknown) => {
              log("error", "did not stop cleanly", { error: String(error) });
              end(1);
            },
          );
        };
        const why = "this store is that fleet's now; the next start acts for it";
        void owner.then((fleet) => on({ why: { fleet, why }, code: 1 }));
      }),
  };
}
