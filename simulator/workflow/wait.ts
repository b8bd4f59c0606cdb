/** Waiting in a task: every wait ends when the run is interrupted. */
import { TaskError, type Run } from "./task.ts";

/** Rejects with `TaskError` when the run is interrupted. */
export function wait({ clock, signal }: Pick<Run, "clock" | "signal">, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      cancel();
      reject(new TaskError("interrupted"));
    };
    const cancel = clock.after(ms, () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
}
