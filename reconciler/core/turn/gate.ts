/**
 * How much may go on at once: work that waits for its turn, and places that are taken or refused.
 * Pure except for its memory.
 */

/** Lets so much work run at once, and the rest in its order: who ends hands its turn on. */
export class Gate {
  readonly #max: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#max) this.#running += 1;
    else await new Promise<void>((resolve) => void this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
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
