/** Repeats a look until it is satisfied or the time of the task is over. */
import { TaskError, type Run } from "./task.ts";
import { wait } from "./wait.ts";

/** Between two looks at a control plane. */
const PAUSE_MS = 500;

/**
 * `look` returns `null` when satisfied, else what is missing. With `timeoutMs` 0 it looks once. On
 * expiry `explain` may add to what was missing last.
 */
export async function repeat(
  run: Pick<Run, "clock" | "signal">,
  timeoutMs: number,
  look: () => Promise<string | null>,
  explain: (missing: string) => Promise<string> = (missing) => Promise.resolve(missing),
): Promise<void> {
  const deadlineMs = run.clock.monoMs() + timeoutMs;
  for (;;) {
    const missing = await unlessAborted(look(), run.signal);
    if (missing === null) return;
    const leftMs = deadlineMs - run.clock.monoMs();
    if (leftMs <= 0) {
      const said = await unlessAborted(explain(missing), run.signal);
      throw new TaskError(timeoutMs === 0 ? said : `context deadline exceeded: ${said}`);
    }
    await wait(run, Math.min(PAUSE_MS, leftMs));
  }
}

/** Rejects with `TaskError` when the run is interrupted meanwhile. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(new TaskError("interrupted"));
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
