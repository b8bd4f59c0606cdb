/**
 * Spaces calls, because clouds limit their rate: a call gets its turn, or the time that it would
 * have to wait. `burst` calls may come at once (a token bucket of that size). Pure except for its
 * memory; the caller passes the clock.
 */
import { type Millis, waitMs } from "../../../schema/millis.ts";

export class Pace {
  readonly #everyMs: number;
  readonly #monoMs: () => number;
  readonly #leadMs: number;
  /** When the bucket is full again. */
  #fullMono = 0;

  /** `everyMs` = 0 is no limit. */
  constructor(everyMs: number, monoMs: () => number, burst = 1) {
    this.#everyMs = everyMs;
    this.#monoMs = monoMs;
    this.#leadMs = everyMs * (burst - 1);
  }

  /** Takes a turn and returns the milliseconds until it; `null` if it is past `patienceMs`. */
  take(patienceMs: number): Millis | null {
    const turnMs = this.waitMs();
    if (turnMs > patienceMs) return null;
    this.#fullMono = Math.max(this.#monoMs(), this.#fullMono) + this.#everyMs;
    return turnMs;
  }

  /** Milliseconds until the next free turn. */
  waitMs(): Millis {
    return waitMs(this.#fullMono - this.#leadMs - this.#monoMs());
  }
}
