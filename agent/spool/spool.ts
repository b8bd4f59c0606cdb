/**
 * Keeps findings and gaps until they are delivered, each with the next number of one stream. A
 * record is on disk, with its kernel-log position, before it is sent, and stays until the control
 * plane acknowledges it. A kill at any byte loses nothing for which `append` returned, and
 * duplicates nothing.
 *
 * When space runs out, the least severe and then the oldest record is dropped and counted: a gap
 * with number S and reason `spool_full` or `malformed` covers every missing number just below S.
 */
import type { Finding, Gap, SpooledFinding } from "../../schema/finding.ts";
import { LIMIT } from "../../schema/limit.ts";
import type { KernelCursor } from "../port/port.ts";
import { foldEntries, foldSegments, hole, joinHoles, ROW_BYTES } from "./spool-index.ts";
import { type Held, type Hole, SpoolIndex, toGap, toRow } from "./spool-index.ts";
import { parseBody, parseSegment, formatLine, encodePut, RANK } from "./spool-line.ts";
import type { GapReason, GapRow, HeadLine } from "./spool-line.ts";
import { SpoolSegments } from "./spool-segment.ts";
import type { SpoolStorage } from "./spool-storage.ts";

/** Share of the bound for bodies; the rest is for lines that wait to be deleted. */
const LIVE_SHARE = 0.7;
/** Limit while records are only in memory. */
const MEMORY_BYTES_MAX = 6 * 1024 * 1024;
/** Small enough to free acknowledged space soon, large enough for few files. */
const SEGMENT_BYTES_MAX = 1024 * 1024;

export type SpoolOptions = {
  /** `null`: memory only. */
  storage: SpoolStorage | null;
  /** Why there is no storage, for `stats`. */
  failure?: string | null;
  /** An unused stream id: for a new spool, or for one whose numbers are in use (`acknowledge`). */
  streamId: () => string;
  bytesMax?: number;
  wallMs: () => number;
  monoMs: () => number;
};

export type SpoolBatch = { findings: SpooledFinding[]; gaps: Gap[]; lastSeq: number };
export type NewGap = { reason: GapReason; count: number; atMs: number };
export type SpoolStats = {
  /** Numbers not yet acknowledged. */
  depth: number;
  bytes: number;
  dropped: number;
  /** Why records are only in memory, or `null` while the disk is used. */
  memory: string | null;
};

export class Spool {
  readonly #segments: SpoolSegments;
  readonly #options: SpoolOptions;
  readonly #bytesMax: number;
  #index = new SpoolIndex();
  #stream: string;
  #next = 1;
  #acked = 0;
  /** Highest acknowledged number of this stream; less than `#acked` in a replaced stream. */
  #streamAcked = 0;
  /** Highest number returned by `next`; the control plane may have it. */
  #shown = 0;
  #cursor: KernelCursor | null = null;
  #dropped = 0;
  /** First number of this process. */
  readonly #openedAt: number;
  #agreed: boolean;
  /** This process began the stream. */
  readonly fresh: boolean;

  constructor(options: SpoolOptions) {
    this.#options = options;
    this.#bytesMax = options.bytesMax ?? LIMIT.spoolBytesMax;
    const each = Math.min(SEGMENT_BYTES_MAX, Math.ceil(this.#bytesMax / 16));
    this.#segments = new SpoolSegments(options.storage, each, options.failure ?? null);
    const recovered = this.#recover();
    this.#stream = recovered ?? options.streamId();
    this.fresh = recovered === null;
    this.#agreed = this.fresh;
    this.#openedAt = this.#next;
    this.#streamAcked = this.#acked;
    this.#segments.rotate(options.monoMs(), () => this.#head());
    this.#segments.sweep();
  }

  get stream(): string {
    return this.#stream;
  }

  /** Position in the kernel log up to which it was read. */
  cursor(): KernelCursor | null {
    return this.#cursor;
  }

  /**
   * False until the control plane has confirmed how far it knows a stream that an earlier process
   * began: a disk restored to an older state would otherwise reuse numbers.
   */
  get agreed(): boolean {
    return this.#agreed;
  }

  stats(): SpoolStats {
    return {
      depth: this.#index.depth,
      bytes: this.#index.bytes,
      dropped: this.#dropped,
      memory: this.#segments.failure,
    };
  }

  /** Makes findings, gaps and the kernel position durable; a position alone is not written. */
  append(findings: readonly Finding[], gaps: readonly NewGap[], cursor: KernelCursor | null): void {
    if (cursor) this.#cursor = cursor;
    if (findings.length === 0 && gaps.length === 0) return;
    const changed = gaps.map((gap) => this.#addGap(gap));
    const bodies = findings.map((finding) => {
      const rank = Math.max(0, RANK.indexOf(finding.severity));
      return { seq: this.#next++, rank, body: JSON.stringify(finding) };
    });
    const held = bodies.map(({ seq, rank, body }): Held => {
      const bytes = Buffer.byteLength(body);
      return { kind: "held", seq, rank, bytes, segment: -1, at: -1 };
    });
    for (const row of held) this.#index.add(row);
    const { dropped, holes } = this.#shrink();
    const lost = new Set(dropped);
    const kept = held.filter((row) => !lost.has(row));
    const seqs = new Set(kept.map((row) => row.seq));
    const keptBodies = bodies.filter((body) => seqs.has(body.seq));
    this.#put(kept, keptBodies, [...changed, ...holes]);
    this.#reclaim();
  }

  /** Adds a gap to an unsent one of the same reason, so that an unreadable hour is one row. */
  #addGap(gap: NewGap): GapRow {
    const last = this.#index.last();
    if (last?.kind === "hole" && last.reason === gap.reason && last.seq > this.#shown) {
      last.count += gap.count;
      last.atMs = gap.atMs;
      return toRow(last);
    }
    const row = hole(this.#next++, gap.reason, gap.atMs, 1, gap.count);
    this.#index.add(row);
    return toRow(row);
  }

  #shrink(): { dropped: Held[]; holes: GapRow[] } {
    const bytesMax = this.#bound() * LIVE_SHARE;
    const given = this.#index.shrink(bytesMax, this.#shown, this.#options.wallMs());
    for (const held of given.dropped) this.#release(held);
    this.#dropped += given.dropped.length;
    return given;
  }

  /** Limit of the storage in use. */
  #bound(): number {
    if (this.#segments.failure === null) return this.#bytesMax;
    return Math.min(MEMORY_BYTES_MAX, this.#bytesMax);
  }

  #release(held: Held): void {
    if (held.segment >= 0) this.#segments.count(held.segment, -(held.bytes + ROW_BYTES));
  }

  /** Writes one line and notes the place of each body; `rows` and `bodies` correspond. */
  #put(
    rows: readonly Held[],
    bodies: readonly { seq: number; rank: number; body: string }[],
    gaps: GapRow[],
  ): void {
    const line = encodePut({ gaps, cursor: this.#cursor }, bodies);
    const head = () => this.#head();
    const { segment, at } = this.#segments.write(line.bytes, true, this.#options.monoMs(), head);
    let bodyAt = at + line.bodiesAt;
    for (const row of rows) {
      this.#release(row);
      row.segment = segment;
      row.at = bodyAt;
      bodyAt += row.bytes + 1;
      this.#segments.count(segment, row.bytes + ROW_BYTES);
    }
  }

  #head(): HeadLine {
    return {
      tag: "head",
      stream: this.#stream,
      acked: this.#acked,
      next: this.#next,
      cursor: this.#cursor,
      gaps: this.#index.holes(this.#shown),
    };
  }

  /** Empties the most wasteful segments until the files fit, and those left in memory. */
  #reclaim(): void {
    this.#segments.sweep();
    for (let round = 0; round < 4; round++) {
      const tooMuch = this.#segments.total() > this.#bound();
      const number = this.#segments.stranded() ?? (tooMuch ? this.#segments.wasteful() : null);
      if (number === null) return;
      this.#moveOut(number);
      this.#segments.sweep();
    }
  }

  #moveOut(segment: number): void {
    const rows: Held[] = [];
    const bodies: { seq: number; rank: number; body: string }[] = [];
    for (const row of this.#index.heldIn(segment)) {
      const bytes = this.#segments.read(row.segment, row.at, row.bytes);
      if (bytes.length !== row.bytes || parseBody(bytes) === null) {
        this.#lose(row.seq);
        continue;
      }
      rows.push(row);
      bodies.push({ seq: row.seq, rank: row.rank, body: Buffer.from(bytes).toString("utf8") });
    }
    // Even without rows: new holes must be on disk before the segment is deleted.
    this.#put(rows, bodies, this.#index.holes(this.#shown));
  }

  /** A counted hole in place of one record; false if it is not held. */
  #lose(seq: number): boolean {
    const row = this.#index.discard(seq, "malformed", this.#options.wallMs());
    if (!row) return false;
    this.#release(row);
    this.#dropped++;
    return true;
  }

  /**
   * The oldest unacknowledged records in order, repeated until acknowledged. At most `findingsMax`
   * findings of `bytesMax` together, but at least one record.
   */
  next(findingsMax: number, bytesMax: number): SpoolBatch {
    const batch: SpoolBatch = { findings: [], gaps: [], lastSeq: this.#acked };
    let open = null as Hole | null;
    let bytesLeft = bytesMax;
    for (const entry of this.#index.pending()) {
      const gapsMax = Math.max(1, findingsMax - 1);
      if (batch.findings.length >= findingsMax || batch.gaps.length >= gapsMax) break;
      const tooLarge = entry.kind === "held" && entry.bytes > bytesLeft;
      if (tooLarge && batch.findings.length > 0) break;
      const finding = entry.kind === "held" ? this.#read(entry) : null;
      if (entry.kind === "held" && finding) {
        if (open) batch.gaps.push(toGap(open));
        open = null;
        batch.findings.push({ seq: entry.seq, finding });
        bytesLeft -= entry.bytes;
      } else {
        const lost = entry.kind === "hole" ? entry : this.#loseShown(entry);
        // Not across sent numbers: the control plane may have counted that part.
        const apart = open?.seq === this.#shown;
        const joined = open && !apart ? joinHoles(open, lost) : null;
        if (open && !joined) batch.gaps.push(toGap(open));
        open = joined ?? lost;
      }
      batch.lastSeq = entry.seq;
    }
    if (open) batch.gaps.push(toGap(open));
    this.#shown = Math.max(this.#shown, batch.lastSeq);
    return batch;
  }

  #read(row: Held): Finding | null {
    return parseBody(this.#segments.read(row.segment, row.at, row.bytes));
  }

  #loseShown(row: Held): Hole {
    this.#lose(row.seq);
    return hole(row.seq, "malformed", this.#options.wallMs());
  }

  /** Replaces a record that the control plane refuses by a gap. */
  discard(seq: number): void {
    if (!this.#lose(seq)) return;
    this.#put([], [], [toRow(hole(seq, "malformed", this.#options.wallMs()))]);
  }

  /**
   * Handles the control plane's position in `stream`. `renewed`: it has numbers that this spool has
   * not issued, because the disk was restored; new records get a new stream. `behind`: its store
   * lost acknowledged records.
   */
  acknowledge(stream: string, seq: number): "agreed" | "behind" | "renewed" {
    if (stream !== this.#stream) return "agreed";
    if (!this.#agreed) {
      this.#agreed = true;
      if (seq >= this.#openedAt) {
        this.#trim(this.#openedAt - 1);
        this.#begin();
        return "renewed";
      }
    }
    // Numbers not issued here: another sender uses this stream (a copied machine, one restored
    // while it ran, or a stolen credential). Kept records move to a new stream.
    if (seq >= this.#next) {
      this.#begin();
      return "renewed";
    }
    this.#trim(seq);
    const behind = seq < this.#streamAcked;
    this.#streamAcked = Math.max(seq, this.#streamAcked);
    return behind ? "behind" : "agreed";
  }

  /** In a new stream nothing is acknowledged yet. */
  #begin(): void {
    this.#stream = this.#options.streamId();
    this.#streamAcked = 0;
    this.#segments.rotate(this.#options.monoMs(), () => this.#head());
  }

  /** Everything up to here was acknowledged. */
  get acked(): number {
    return this.#acked;
  }

  #trim(seq: number): void {
    if (seq <= this.#acked) return;
    this.#acked = seq;
    for (const row of this.#index.acknowledge(seq)) this.#release(row);
    // Not synced: a crash costs one repeated delivery, which the control plane recognises.
    const line = formatLine({ tag: "ack", seq, cursor: this.#cursor });
    this.#segments.write(line, false, this.#options.monoMs(), () => this.#head());
    this.#reclaim();
  }

  /** Retries a disk that refused a write: a healthy node writes nothing for days. */
  returnToDisk(): void {
    const nowMs = this.#options.monoMs();
    if (!this.#segments.mayReturn(nowMs)) return;
    this.#segments.rotate(nowMs, () => this.#head());
    this.#reclaim();
  }

  /** Stores the last kernel position, so that a planned restart reads nothing twice. */
  close(): void {
    const line = formatLine({ tag: "ack", seq: this.#acked, cursor: this.#cursor });
    this.#segments.write(line, true, this.#options.monoMs(), () => this.#head());
    this.#segments.close();
  }

  /** Reads all segments; gives the id of the stream found, or `null`. */
  #recover(): string | null {
    const segments = this.#segments.numbers().map((number) => {
      return { number, lines: parseSegment(this.#segments.load(number)).lines };
    });
    const { acked, cursor, gaps, next, rows, stream } = foldSegments(segments);
    this.#acked = acked;
    this.#next = next;
    this.#cursor = cursor;
    for (const entry of foldEntries(rows, gaps, acked, next, this.#options.wallMs())) {
      this.#index.add(entry);
      if (entry.kind === "held") this.#segments.count(entry.segment, entry.bytes + ROW_BYTES);
    }
    return stream;
  }
}
