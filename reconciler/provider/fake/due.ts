/**
 * Future events ordered by time, then by insertion: a binary heap, because a simulation of 100,000
 * instances takes the next one at every step.
 */
import type { InstanceId } from "../../../schema/id.ts";

type Ordered = { atMs: number; seq: number };

export type DueKind = "land" | "run" | "end" | "vanish" | "forget";
/** `token` is for `forget`, which comes when the instance itself is no longer known. */
export type Due = Ordered & { kind: DueKind; id: InstanceId; token: string };

function before(a: Ordered, b: Ordered): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.seq < b.seq);
}

/** Adds to the heap, in place. */
export function pushDue<T extends Ordered>(heap: T[], due: T): void {
  let at = heap.length;
  heap.push(due);
  while (at > 0) {
    const above = (at - 1) >> 1;
    const parent = heap[above];
    if (parent === undefined || !before(due, parent)) break;
    heap[at] = parent;
    heap[above] = due;
    at = above;
  }
}

/** Removes and returns the earliest, in place; `null` if the heap is empty. */
export function popDue<T extends Ordered>(heap: T[]): T | null {
  const first = heap[0];
  const last = heap.pop();
  if (first === undefined || last === undefined) return null;
  if (heap.length === 0) return first;
  let at = 0;
  heap[0] = last;
  for (;;) {
    let least = at;
    for (const below of [2 * at + 1, 2 * at + 2]) {
      const child = heap[below];
      const current = heap[least];
      if (child !== undefined && current !== undefined && before(child, current)) least = below;
    }
    const child = heap[least];
    if (least === at || child === undefined) return first;
    heap[at] = child;
    heap[least] = last;
    at = least;
  }
}
