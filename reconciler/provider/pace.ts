/**
 * Spaces calls evenly, because clouds count them: a call gets its turn, or learns how long it would
 * have to wait. Pure but for its memory; time is a port.
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

  /** Milliseconds until the turn that it takes; `null` and no turn if beyond `patienceMs`. */
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
