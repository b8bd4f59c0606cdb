/**
 * What is due when: the earliest first, and of one instant the one that was put in first, so that
 * equal runs take out equal things. A binary heap: cascades put in thousands.
 */
export type Queue<T> = {
  put(atMs: number, item: T): void;
  /** When the first is due, or `null`. */
  nextAtMs(): number | null;
  /** Takes out the first. */
  take(): { atMs: number; item: T } | null;
};

type Slot<T> = { atMs: number; serial: number; item: T };

export function openQueue<T>(): Queue<T> {
  const heap: Slot<T>[] = [];
  let serial = 0;
  const before = (a: Slot<T>, b: Slot<T>) =>
    a.atMs < b.atMs || (a.atMs === b.atMs && a.serial < b.serial);
  return {
    put(atMs, item) {
      const slot = { atMs, serial: serial++, item };
      let at = heap.length;
      while (at > 0) {
        const up = (at - 1) >> 1;
        const parent = heap[up];
        if (parent === undefined || !before(slot, parent)) break;
        heap[at] = parent;
        at = up;
      }
      heap[at] = slot;
    },
    nextAtMs: () => heap[0]?.atMs ?? null,
    take() {
      const first = heap[0];
      const last = heap.pop();
      if (first === undefined || last === undefined) return null;
      if (heap.length > 0) sink(heap, last, before);
      return { atMs: first.atMs, item: first.item };
    },
  };
}

function sink<T>(
  heap: Slot<T>[],
  slot: Slot<T>,
  before: (a: Slot<T>, b: Slot<T>) => boolean,
): void {
  let at = 0;
  for (;;) {
    const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]];
    if (left === undefined) break;
    const isRight = right !== undefined && before(right, left);
    const child = isRight ? right : left;
    if (!before(child, slot)) break;
    heap[at] = child;
    at = 2 * at + (isRight ? 2 : 1);
  }
  heap[at] = slot;
}
