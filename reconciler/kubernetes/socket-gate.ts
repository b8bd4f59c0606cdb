/**
 * How many calls may be on their way at once: each needs a connection of its own, and a fleet-wide
 * burst must not open a thousand of them. First come, first served.
 */
export class SocketGate {
  #free: number;
  readonly #waiting = new Set<(entered: boolean) => void>();

  constructor(socketsMax: number) {
    this.#free = socketsMax;
  }

  /** `false` if the signal aborted first; after `true`, `leave()` is owed. */
  enter(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve(true);
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const settle = (entered: boolean) => {
      this.#waiting.delete(settle);
      signal.removeEventListener("abort", give);
      resolve(entered);
    };
    const give = () => settle(false);
    signal.addEventListener("abort", give);
    this.#waiting.add(settle);
    return promise;
  }

  leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#free += 1;
    else next(true);
  }
}
