/**
 * How long the loop rests after an activation. In the long run activations take a quarter of a
 * core at most, so that a large fleet is looked at less often and not served less; what was not
 * used is saved up, so that the few activations that follow a fault come at once. No effects.
 */
import type { Plan } from "../../schema/plan.ts";

/** Of one core, in the long run. */
const SHARE = 1 / 4;
/**
 * Longest rest after one activation: what a fleet of 100,000 nodes may add to a decision. Debt
 * beyond it is forgotten.
 */
const REST_MAX_MS = 250;
/** Work that may come without a rest: ten activations of 1,000 nodes, one of 100,000. */
const SAVED_MAX_MS = 250;

/** Milliseconds until the first of the plan's waits is worth another look, at most `mostMs`. */
export function untilNext(plan: Plan, now: number, mostMs: number): number {
  let least = mostMs;
  for (const { until } of plan.waits) {
    if (until !== null && until > now) least = Math.min(least, until - now);
  }
  return least;
}

/** The longest rest between activations that fail. */
const TROUBLE_REST_MAX_MS = 5_000;

/** Milliseconds to rest after so many failures in a row. */
export function troubleRestMs(failures: number): number {
  return Math.min(TROUBLE_REST_MAX_MS, 100 * 2 ** Math.min(failures, 10));
}

export class Pace {
  private savedMs = SAVED_MAX_MS;
  private lastMono: number;

  constructor(nowMono: number) {
    this.lastMono = nowMono;
  }

  /**
   * Milliseconds to rest after an activation that began and ended then; the next begins after.
   * `usedMs` is what of it was work: waiting for a disk is no use of a core.
   */
  restMs(begunMono: number, endedMono: number, usedMs = endedMono - begunMono): number {
    const earnedMs = Math.max(0, endedMono - this.lastMono) * SHARE;
    this.lastMono = endedMono;
    const savedMs = Math.min(SAVED_MAX_MS, this.savedMs + earnedMs) - usedMs;
    this.savedMs = Math.max(savedMs, -REST_MAX_MS * SHARE);
    return Math.max(0, -this.savedMs / SHARE);
  }
}
