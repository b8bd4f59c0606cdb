/**
 * Pauses of the loop. In the long run activations take at most a quarter of a core, so that a large
 * fleet gets fewer activations rather than slower replies. Unused time is saved, so that the few
 * activations after a fault run at once.
 */
import type { Plan } from "../core/plan.ts";
import type { Clock } from "../core/clock.ts";
import { backoffMs } from "../core/turn/backoff.ts";

/** Share of one core, in the long run. */
const SHARE = 1 / 4;
/** Longest pause: the delay of a decision in a fleet of 100,000 nodes. Further debt is dropped. */
const REST_MAX_MS = 250;
/** CPU time before the first pause: ten activations of 1,000 nodes, or one of 100,000. */
const SAVED_MAX_MS = 250;

/** Milliseconds until the first of the plan's waits ends, at most `mostMs`. */
export function untilNext(plan: Plan, now: number, mostMs: number): number {
  let least = mostMs;
  for (const { until } of plan.waits) {
    if (until !== null && until > now) least = Math.min(least, until - now);
  }
  return least;
}

/** The longest pause between activations that fail. */
const TROUBLE_REST_MAX_MS = 5_000;

/** Milliseconds to pause after this number of consecutive failures. */
export function troubleRestMs(failures: number): number {
  return backoffMs(failures + 1, 100, TROUBLE_REST_MAX_MS);
}

export class Pace {
  private savedMs = SAVED_MAX_MS;
  private lastMono: number;

  constructor(nowMono: number) {
    this.lastMono = nowMono;
  }

  /** Milliseconds to pause after an activation; `usedMs` is its CPU time, without waits for I/O. */
  restMs(begunMono: number, endedMono: number, usedMs = endedMono - begunMono): number {
    const earnedMs = Math.max(0, endedMono - this.lastMono) * SHARE;
    this.lastMono = endedMono;
    const savedMs = Math.min(SAVED_MAX_MS, this.savedMs + earnedMs) - usedMs;
    this.savedMs = Math.max(savedMs, -REST_MAX_MS * SHARE);
    return Math.max(0, -this.savedMs / SHARE);
  }
}

/** One pause at a time, which `end` cuts short if it is wakeable. */
export class Rest {
  readonly #clock: Pick<Clock, "after">;
  /** Ends the current pause. */
  end: () => void = () => undefined;

  constructor(clock: Pick<Clock, "after">) {
    this.#clock = clock;
  }

  sleep(ms: number, wakeable: boolean): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(ms, resolve);
      this.end = wakeable ? () => (cancel(), resolve()) : () => undefined;
    });
  }
}
