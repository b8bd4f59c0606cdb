/**
 * A queue of due items: earliest first, then in order of insertion, so that equal runs are
 * identical.
 */
import { popDue, pushDue } from "../../reconciler/provider/fake/due.ts";

export class Queue<T> {
  readonly #heap: { atMs: number; seq: number; item: T }[] = [];
  #serial = 0;

  put(atMs: number, item: T): void {
    pushDue(this.#heap, { atMs, seq: this.#serial++, item });
  }

  /** When the first is due, or `null`. */
  nextAtMs(): number | null {
    return this.#heap[0]?.atMs ?? null;
  }

  /** Takes out the first if it is due by `atMs`. */
  take(atMs = Number.POSITIVE_INFINITY): { atMs: number; item: T } | null {
    const next = this.nextAtMs();
    return next === null || next > atMs ? null : popDue(this.#heap);
  }
}
