/**
 * Indexes the spool's records without their bodies: number, severity, size and place. It chooses
 * which records to drop, keeps every dropped number as a counted hole, and recovers the index from
 * stored lines. Pure but for its own state.
 */
import type { Gap } from "../../schema/finding.ts";
import type { KernelCursor } from "../port/port.ts";
import type { FindingRow, GapReason, GapRow, PlacedLine } from "./spool-line.ts";

export type Held = {
  kind: "held";
  seq: number;
  rank: number;
  bytes: number;
  /** Segment and first byte of the body; −1 while it is not yet written. */
  segment: number;
  at: number;
};
/** Numbers `seq − span + 1 … seq`. */
export type Hole = {
  kind: "hole";
  seq: number;
  span: number;
  reason: GapReason;
  count: number;
  atMs: number;
};
export type Entry = Held | Hole;

/** Overhead of one record on disk: its row and separators, measured on ordinary findings. */
export const ROW_BYTES = 48;
/** New holes, plus a quarter of the list, before a merge pass, which costs the list's length. */
const MERGE_AFTER = 1_024;

/** True if cutting off the list before `first` is worth a copy of the rest. */
const isMostlyGone = (first: number, length: number) => first > 1_024 && first * 2 > length;

export class SpoolIndex {
  /** By number, ascending; those before `#first` are acknowledged. */
  #entries: Entry[] = [];
  #first = 0;
  /** Per rank, oldest first; `first` skips rows that are no longer held. */
  #queues = [0, 1, 2, 3].map(() => ({ rows: new Array<Held>(), first: 0 }));
  #holesSinceMerge = 0;
  #lowest = 0;
  bytes = 0;

  /** Records not yet acknowledged, holes included. */
  get depth(): number {
    return this.#entries.length - this.#first;
  }

  last(): Entry | undefined {
    return this.#entries[this.#entries.length - 1];
  }

  add(entry: Entry): void {
    this.#entries.push(entry);
    if (entry.kind === "hole") return;
    this.#queues[entry.rank]?.rows.push(entry);
    this.bytes += entry.bytes + ROW_BYTES;
  }

  /** Entries in order of number, from the oldest not acknowledged. */
  *pending(): Generator<Entry> {
    for (let i = this.#first; i < this.#entries.length; i++) {
      const entry = this.#entries[i];
      if (entry) yield entry;
    }
  }

  /** Forgets everything up to `seq`; answers the records held there. */
  acknowledge(seq: number): Held[] {
    const gone: Held[] = [];
    for (let entry = this.#entries[this.#first]; entry && entry.seq <= seq;) {
      if (entry.kind === "held") gone.push(entry);
      this.#first++;
      entry = this.#entries[this.#first];
    }
    for (const held of gone) this.bytes -= held.bytes + ROW_BYTES;
    this.#lowest = Math.max(this.#lowest, seq);
    if (isMostlyGone(this.#first, this.#entries.length)) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
    for (const queue of this.#queues) this.#trim(queue);
    return gone;
  }

  /**
   * Drops records, the least severe first and then the oldest, until the bodies fit into
   * `bytesMax`. Records up to `spared` may be in flight and stay.
   */
  shrink(bytesMax: number, spared: number, atMs: number): { dropped: Held[]; holes: GapRow[] } {
    const dropped: Held[] = [];
    while (this.bytes > bytesMax) {
      const held = this.#candidate(spared);
      if (!held) break;
      this.bytes -= held.bytes + ROW_BYTES;
      dropped.push(held);
      this.#replace(held.seq, "spool_full", atMs);
    }
    const holes = dropped.map(({ seq }) => hole(seq, "spool_full", atMs));
    if (this.#holesSinceMerge > MERGE_AFTER + this.depth / 4) this.#merge(spared);
    return { dropped, holes: holes.map(toRow) };
  }

  /** Turns a held record into a hole: its body is lost or refused. */
  discard(seq: number, reason: GapReason, atMs: number): Held | null {
    const found = this.#entries[this.#find(seq)];
    if (found?.kind !== "held" || found.seq !== seq) return null;
    this.bytes -= found.bytes + ROW_BYTES;
    this.#replace(seq, reason, atMs);
    return found;
  }

  /** All holes, adjacent ones joined. */
  holes(spared: number): GapRow[] {
    this.#merge(spared);
    const rows: GapRow[] = [];
    for (const entry of this.pending()) if (entry.kind === "hole") rows.push(toRow(entry));
    return rows;
  }

  /** Everything held in one segment, in order. */
  heldIn(segment: number): Held[] {
    const rows: Held[] = [];
    for (const entry of this.pending()) {
      if (entry.kind === "held" && entry.segment === segment) rows.push(entry);
    }
    return rows;
  }

  #candidate(spared: number): Held | null {
    for (const queue of this.#queues) {
      this.#trim(queue);
      for (let i = queue.first; i < queue.rows.length; i++) {
        const held = queue.rows[i];
        if (held && held.seq > spared && this.#isHeld(held)) return held;
      }
    }
    return null;
  }

  #isHeld(held: Held): boolean {
    return held.seq > this.#lowest && this.#entries[this.#find(held.seq)] === held;
  }

  #trim(queue: { rows: Held[]; first: number }): void {
    for (let held = queue.rows[queue.first]; held && !this.#isHeld(held);) {
      queue.first++;
      held = queue.rows[queue.first];
    }
    if (isMostlyGone(queue.first, queue.rows.length)) {
      queue.rows = queue.rows.slice(queue.first);
      queue.first = 0;
    }
  }

  #replace(seq: number, reason: GapReason, atMs: number): void {
    this.#entries[this.#find(seq)] = hole(seq, reason, atMs);
    this.#holesSinceMerge++;
  }

  /** Place of the first entry whose number is `seq` or more. */
  #find(seq: number): number {
    let low = this.#first;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle]?.seq ?? Infinity) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Joins adjacent holes; never across `spared`, where an acknowledgement may end. */
  #merge(spared: number): void {
    const merged: Entry[] = [];
    for (const entry of this.pending()) {
      const before = merged[merged.length - 1];
      const joined = before && before.seq !== spared ? joinHoles(before, entry) : null;
      if (joined) merged[merged.length - 1] = joined;
      else merged.push(entry);
    }
    this.#entries = merged;
    this.#first = 0;
    this.#holesSinceMerge = 0;
  }
}

export function hole(seq: number, reason: GapReason, atMs: number, span = 1, count = span): Hole {
  return { kind: "hole", seq, span, reason, count, atMs };
}

export function toRow({ seq, span, reason, count, atMs }: Hole): GapRow {
  return { seq, span, reason, count, atMs };
}

/** One hole for two adjacent ones of the same reason, or `null`. */
export function joinHoles(a: Entry, b: Entry): Hole | null {
  if (a.kind !== "hole" || b.kind !== "hole") return null;
  if (a.reason !== b.reason || b.seq - b.span !== a.seq) return null;
  const atMs = Math.max(a.atMs, b.atMs);
  return hole(b.seq, a.reason, atMs, a.span + b.span, a.count + b.count);
}

/** A record found on disk. */
export type PlacedRow = FindingRow & { segment: number; at: number };

export type Recovered = {
  /** `null`: the spool is new. */
  stream: string | null;
  acked: number;
  next: number;
  cursor: KernelCursor | null;
  rows: Map<number, PlacedRow>;
  gaps: Map<number, GapRow>;
};

/** Folds segments in ascending order, so that later lines win; one without a head is incomplete. */
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

/** The entries of a stream: holes win over bodies, and unaccounted numbers become holes. */
export function foldEntries(
  rows: ReadonlyMap<number, PlacedRow>,
  gaps: ReadonlyMap<number, GapRow>,
  acked: number,
  next: number,
  atMs: number,
): Entry[] {
  const all: Entry[] = [];
  for (const row of rows.values()) if (!gaps.has(row.seq)) all.push({ kind: "held", ...row });
  for (const gap of gaps.values()) all.push({ kind: "hole", ...gap });
  all.sort((a, b) => b.seq - a.seq);
  const kept: Entry[] = [];
  /** Numbers from here on are accounted for. */
  let covered = next;
  for (const entry of all) {
    if (entry.seq <= acked) break;
    if (entry.seq >= covered) continue;
    const missing = covered - 1 - entry.seq;
    if (missing > 0) kept.push(hole(covered - 1, "malformed", atMs, missing));
    kept.push(entry);
    covered = entry.seq - (entry.kind === "hole" ? entry.span : 1) + 1;
  }
  const missing = covered - 1 - acked;
  if (missing > 0) kept.push(hole(covered - 1, "malformed", atMs, missing));
  return kept.reverse();
}

export function toGap({ seq, reason, count, atMs }: Hole): Gap {
  return { seq, reason, count, at: new Date(atMs).toISOString() };
}
