/**
 * Runs work by key: a bounded number at once, in the order of `add`, and never two of one key. The
 * work reads its newest request when it starts.
 */
export class InFlight {
  readonly #max: number;
  readonly #keys = new Set<string>();
  readonly #waiting: { key: string; work: () => Promise<void> }[] = [];
  #running = 0;
  #resting: (() => void)[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  /** Ignored while this key is waiting or running. `work` must not reject. */
  add(key: string, work: () => Promise<void>): void {
    if (this.#keys.has(key)) return;
    this.#keys.add(key);
    this.#waiting.push({ key, work });
    this.#start();
  }

  /** Drops what has not begun. */
  clear(): void {
    for (const { key } of this.#waiting.splice(0)) this.#keys.delete(key);
  }

  /** Resolves once nothing waits or runs. */
  async rest(): Promise<void> {
    if (this.#keys.size > 0) await new Promise<void>((done) => this.#resting.push(done));
  }

  #start(): void {
    while (this.#running < this.#max) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#running += 1;
      void next.work().finally(() => {
        this.#running -= 1;
        this.#keys.delete(next.key);
        this.#start();
        if (this.#keys.size === 0) for (const done of this.#resting.splice(0)) done();
      });
    }
  }
}
