/**
 * How much may go on at once: work that waits for its turn, and places that are taken or refused.
 * Pure except for its memory.
 */

/** Lets so much work run at once, and the rest in its order: who ends hands its turn on. */
export class Gate {
  #free: number;
  readonly #waiting = new Set<(entered: boolean) => void>();

  constructor(max: number) {
    this.#free = max;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await this.enter();
    try {
      return await work();
    } finally {
      this.leave();
    }
  }

  /** `false` if the signal aborted first; after `true` the caller must call `leave()`. */
  enter(signal?: AbortSignal): Promise<boolean> {
    if (signal?.aborted === true) return Promise.resolve(false);
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve(true);
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const settle = (entered: boolean): void => {
      this.#waiting.delete(settle);
      signal?.removeEventListener("abort", give);
      resolve(entered);
    };
    const give = (): void => settle(false);
    signal?.addEventListener("abort", give);
    this.#waiting.add(settle);
    return promise;
  }

  leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#free += 1;
    else next(true);
  }
}

/** Places, of which one owner has a part at most, so that nobody keeps out the others. */
export class Places {
  readonly #max: { own: number; all: number };
  readonly #byOwner = new Map<string, number>();
  #all = 0;

  constructor(max: { own: number; all: number }) {
    this.#max = max;
  }

  /** Which limit keeps `owner` out; `null`: there is a place. */
  full(owner: string): "own" | "all" | null {
    if ((this.#byOwner.get(owner) ?? 0) >= this.#max.own) return "own";
    return this.#all >= this.#max.all ? "all" : null;
  }

  /** Takes a place; the returned function gives it back, once. `null`: there is none. */
  take(owner: string): (() => void) | null {
    if (this.full(owner) !== null) return null;
    this.#count(owner, 1);
    let isHeld = true;
    return () => {
      if (isHeld) this.#count(owner, -1);
      isHeld = false;
    };
  }

  #count(owner: string, by: 1 | -1): void {
    this.#all += by;
    const own = (this.#byOwner.get(owner) ?? 0) + by;
    if (own > 0) this.#byOwner.set(owner, own);
    else this.#byOwner.delete(owner);
  }
}
