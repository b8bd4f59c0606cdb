/** What is to happen when, in the order of time and, at one time, of being put in. */
export type Happening = { at: number; serial: number; run: (() => void | Promise<void>) | null };

export class Queue {
  /** Latest first, so that the next is at the end. */
  private readonly list: Happening[] = [];
  private serial = 0;

  /** `run` `null` = only worth a look. */
  put(at: number, run: Happening["run"]): void {
    const one = { at, serial: this.serial++, run };
    let low = 0;
    let high = this.list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.list[middle];
      if (other !== undefined && other.at > at) low = middle + 1;
      else high = middle;
    }
    this.list.splice(low, 0, one);
  }

  nextAt(): number {
    return this.list[this.list.length - 1]?.at ?? Number.POSITIVE_INFINITY;
  }

  /** The next that is due by `at`, or `null`. */
  take(at: number): Happening | null {
    if (this.nextAt() > at) return null;
    return this.list.pop() ?? null;
  }
}
