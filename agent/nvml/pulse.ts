/**
 * Detects a driver that hangs between two readings, which are ten seconds apart, by one light call
 * after every pause of five seconds. A failed call becomes the answer to the next reading, which
 * `onSilent` requests at once.
 */
import type { Clock, Nvml } from "../port/port.ts";
import type { NvmlAnswer } from "../port/reading.ts";

/** Pause between two calls into a driver that responds. */
export const PULSE_MS = 5_000;
/** Pause and deadline together detect a hang within 9 s; the documented limit is 10 s. */
export const PULSE_DEADLINE_MS = 4_000;

export type PingNvml = Nvml & { ping(deadlineMs: number): Promise<NvmlAnswer<null>> };

export function keepPulse(nvml: PingNvml, clock: Clock, onSilent: () => void): Nvml {
  let cancel = () => {};
  let silent: Exclude<NvmlAnswer<never>, { kind: "ok" | "failed" }> | null = null;
  /** Number of calls to `close`. The answer to a ping that was open during one is ignored. */
  let closings = 0;
  const rest = () => cancel();
  const beat = async () => {
    const before = closings;
    const answer = await nvml.ping(PULSE_DEADLINE_MS);
    if (closings !== before) return;
    if (answer.kind === "ok") return arm();
    if (answer.kind === "failed") return;
    silent = answer;
    onSilent();
  };
  const arm = () => {
    rest();
    cancel = clock.after(PULSE_MS, () => void beat());
  };
  const ask = async <T>(call: () => Promise<NvmlAnswer<T>>): Promise<NvmlAnswer<T>> => {
    rest();
    if (silent !== null) {
      const found = silent;
      silent = null;
      return found;
    }
    const answer = await call();
    // Ping only after a successful reading.
    if (answer.kind === "ok") arm();
    return answer;
  };
  return {
    simulated: nvml.simulated,
    sample: (deadlineMs) => ask(() => nvml.sample(deadlineMs)),
    check: (deadlineMs) => ask(() => nvml.check(deadlineMs)),
    takeEvents: () => nvml.takeEvents(),
    close: () => {
      rest();
      closings++;
      silent = null;
      nvml.close();
    },
  };
}
