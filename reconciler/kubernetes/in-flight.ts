/**
 * Work by key, a bounded number at once, never two of one key. What waits is started as room comes,
 * in the order in which it was added; the work itself looks at the newest request when it starts.
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

  /** `false` = this key is waiting or running already. `work` must not reject. */
  add(key: string, work: () => Promise<void>): boolean {
    if (this.#keys.has(key)) return false;
    this.#keys.add(key);
    this.#waiting.push({ key, work });
    this.#start();
    return true;
  }

  /** Forgets what has not begun. */
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
