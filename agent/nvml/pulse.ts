/**
 * Finds a driver that hangs between two readings. Samples are ten seconds apart, so a hang that
 * begins right after one would be reported up to a sample's deadline later than that; one light
 * call in every pause of five seconds bounds it. What the call finds is kept as the answer to the
 * next reading, which `onSilent` asks for at once. Pure but for what it is given.
 */
import type { Clock, Nvml } from "../port.ts";
import type { NvmlAnswer } from "../reading.ts";

/** The longest pause between two calls into a driver that answered the last one. */
export const PULSE_MS = 5_000;
/** As long as a reading may take; together with the pause, a second short of the ten promised. */
export const PULSE_DEADLINE_MS = 4_000;

/** A library that can be asked for a sign of life. */
export type PingNvml = Nvml & { ping(deadlineMs: number): Promise<NvmlAnswer<null>> };

export function keepPulse(nvml: PingNvml, clock: Clock, onSilent: () => void): Nvml {
  let cancel = () => {};
  let silent: Exclude<NvmlAnswer<never>, { kind: "ok" | "failed" }> | null = null;
  /** Grows with each closing: a ping that was cut off by one says nothing. */
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
    // Where nothing answers there is nothing to listen to.
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
