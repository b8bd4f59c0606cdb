/**
 * Spaces calls evenly, because clouds limit their rate: a call gets its turn, or the time that it
 * would have to wait. Pure except for its memory; the caller passes the clock.
 */
export class Pace {
  readonly #everyMs: number;
  readonly #monoMs: () => number;
  #nextMono = 0;

  /** `everyMs` = 0 is no limit. */
  constructor(everyMs: number, monoMs: () => number) {
    this.#everyMs = everyMs;
    this.#monoMs = monoMs;
  }

  /** Takes a turn and returns the milliseconds until it; `null` if it is past `patienceMs`. */
  take(patienceMs: number): number | null {
    const now = this.#monoMs();
    const at = Math.max(now, this.#nextMono);
    if (at - now > patienceMs) return null;
    this.#nextMono = at + this.#everyMs;
    return at - now;
  }

  /** Milliseconds until the next free turn. */
  waitMs(): number {
    return Math.max(0, this.#nextMono - this.#monoMs());
  }
}
