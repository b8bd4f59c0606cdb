/**
 * What a spool was, from the intact lines of its segments. The order of the segments is the order
 * of writing, so later words replace earlier ones; a record given up stays given up. Pure.
 */
import type { PlacedRow } from "./spool-index.ts";
import type { GapRow, PlacedLine } from "./spool-line.ts";
import type { KernelCursor } from "../port.ts";

export type Recovered = {
  /** `null`: nothing was there. */
  stream: string | null;
  acked: number;
  next: number;
  cursor: KernelCursor | null;
  rows: Map<number, PlacedRow>;
  gaps: Map<number, GapRow>;
};

/**
 * Folds segments in ascending order. One without a head was never begun in full and is passed over.
 */
export function foldSegments(
  segments: readonly { number: number; lines: readonly PlacedLine[] }[],
): Recovered {
  const state: Recovered = {
    stream: null,
    acked: 0,
    next: 1,
    cursor: null,
    rows: new Map(),
    gaps: new Map(),
  };
  for (const { number, lines } of segments) {
    if (!lines.some(({ line }) => line.tag === "head")) continue;
    for (const placed of lines) foldLine(state, placed, number);
  }
  return state;
}

function foldLine(state: Recovered, { line, bodiesAt }: PlacedLine, segment: number): void {
  state.cursor = line.cursor ?? state.cursor;
  if (line.tag === "ack") {
    state.acked = Math.max(state.acked, line.seq);
    return;
  }
  for (const gap of line.gaps) state.gaps.set(gap.seq, gap);
  if (line.tag === "head") {
    state.stream = line.stream;
    state.acked = Math.max(state.acked, line.acked);
    state.next = Math.max(state.next, line.next);
    return;
  }
  let at = bodiesAt;
  for (const row of line.rows) {
    state.rows.set(row.seq, { ...row, segment, at });
    at += row.bytes + 1;
  }
  for (const { seq } of [...line.rows, ...line.gaps]) state.next = Math.max(state.next, seq + 1);
}
