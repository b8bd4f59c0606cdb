/**
 * How busy the store's writer is: how long its transactions take and wait. The driver has one
 * connection for writes, so this is what the utilisation of a pool of connections is elsewhere.
 *
 * Adapter: clock.
 */
import type { WriterLoad } from "../core/store.ts";
import { serial } from "./serial.ts";

const WINDOW_MS = 60_000;
/** Only bounds memory. */
const KEPT_MAX = 20_000;

type Run = ReturnType<typeof serial> & { load(): WriterLoad };

/** `serial()` that is timed; the load is that of the last minute. */
export function timedSerial(nowMs: () => number = () => performance.now()): Run {
  const queue = serial();
  const beganMs = nowMs();
  let done: { at: number; busyMs: number; waitMs: number }[] = [];
  const prune = (now: number): void => {
    const isOld = done.length > KEPT_MAX || (done[0]?.at ?? now) < now - WINDOW_MS;
    if (isOld) done = done.slice(-KEPT_MAX / 2).filter(({ at }) => at >= now - WINDOW_MS);
  };
  const run = <T>(work: () => Promise<T>): Promise<T> => {
    const askedMs = nowMs();
    return queue(async () => {
      const startMs = nowMs();
      try {
        return await work();
      } finally {
        const at = nowMs();
        done.push({ at, busyMs: at - startMs, waitMs: startMs - askedMs });
        prune(at);
      }
    });
  };
  const load = (): WriterLoad => {
    const now = nowMs();
    prune(now);
    const spanMs = Math.max(1, Math.min(WINDOW_MS, now - beganMs));
    const busyMs = done.reduce((sum, one) => sum + one.busyMs, 0);
    const waitMs = done.reduce((sum, one) => sum + one.waitMs, 0);
    const busyPercent = Math.min(100, (100 * busyMs) / spanMs);
    return { busyPercent, waitSeconds: done.length === 0 ? 0 : waitMs / done.length / 1_000 };
  };
  return Object.assign(run, { load });
}
