/**
 * A token bucket: `burst` turns may come at once, and one more each time that one has flowed back.
 * Kept as the instant at which it is full again, so that whole milliseconds stay whole. The caller
 * passes the clock's time. Pure except for its memory.
 */
import { type Millis, waitMs } from "../../../schema/millis.ts";

export type Rate = { perSecond: number; burst: number };

/** Less of a wait is the rounding of a rate that no fraction is exact for. */
const NOTHING_MS = 1e-6;

export class Bucket {
  #rate: Rate;
  #fullMono = Number.NEGATIVE_INFINITY;

  /** It begins full. An infinite rate is no limit. */
  constructor(rate: Rate) {
    this.#rate = rate;
  }

  get perSecond(): number {
    return this.#rate.perSecond;
  }

  /** Turns that are left; below zero after a `spend` of more than there were. */
  left(mono: number): number {
    const owedMs = Math.max(0, this.#fullMono - mono);
    return this.#rate.burst - (owedMs / 1_000) * (owedMs === 0 ? 0 : this.#rate.perSecond);
  }

  isFull(mono: number): boolean {
    return this.#fullMono <= mono;
  }

  /** Milliseconds until a whole turn is there. */
  waitMs(mono: number): Millis {
    const { perSecond, burst } = this.#rate;
    return waitMs(this.#fullMono - ((burst - 1) * 1_000) / perSecond - mono - NOTHING_MS);
  }

  spend(mono: number, turns = 1): void {
    this.#fullMono = Math.max(mono, this.#fullMono) + (turns * 1_000) / this.#rate.perSecond;
  }

  /** Takes the next turn and returns the milliseconds until it; `null` if it is past `patienceMs`. */
  reserve(mono: number, patienceMs: number): Millis | null {
    const turnMs = this.waitMs(mono);
    if (turnMs > patienceMs) return null;
    this.spend(mono);
    return turnMs;
  }

  /** Turns that were saved at the old rate are cut to the new burst. */
  set(rate: Rate, mono: number): void {
    const left = Math.min(this.left(mono), rate.burst);
    this.#rate = rate;
    this.#fullMono = mono + ((rate.burst - left) * 1_000) / rate.perSecond;
  }
}
