/**
 * A Poisson process whose rate follows the number of live machines: the gap to the next failure is
 * an amount of hazard to live through, so the rate may change at any time and at no cost.
 */
import type { Random } from "../engine/random.ts";

const MINUTE_MS = 60_000;

export type Arrivals = {
  start(nowMs: number): void;
  stop(): void;
  /** Uses up the hazard until now at the rate that held so far; call it before the rate changes. */
  pass(nowMs: number): void;
  /** The next arrival if the rate stays, in whole milliseconds, or `null`. */
  nextAtMs(): number | null;
  /** The next arrival has happened. */
  take(): void;
};

/** `ratePerThousand` is failures a minute for every thousand of `live()`. */
export function openArrivals(
  ratePerThousand: number,
  random: Random,
  live: () => number,
): Arrivals {
  let running = false;
  let lastMs = 0;
  let left = 0;
  const rate = () => (ratePerThousand * live()) / 1_000 / MINUTE_MS;
  const exactMs = () => (running && rate() > 0 ? lastMs + left / rate() : null);
  return {
    start(nowMs) {
      running = ratePerThousand > 0;
      lastMs = nowMs;
      left = random.exponential(1);
    },
    stop() {
      running = false;
    },
    pass(nowMs) {
      if (nowMs <= lastMs) return;
      left = Math.max(0, left - rate() * (nowMs - lastMs));
      lastMs = nowMs;
    },
    nextAtMs() {
      const exact = exactMs();
      return exact === null ? null : Math.ceil(exact);
    },
    take() {
      lastMs = exactMs() ?? lastMs;
      left = random.exponential(1);
    },
  };
}
