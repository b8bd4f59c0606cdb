/**
 * Keeps what the agent has not yet delivered. Every finding and every gap gets the next number of
 * one stream. It is on disk, with its kernel-log position, before it can be sent, and stays there
 * until the control plane acknowledges it as durable. A kill at any byte loses nothing for which
 * `append` returned, and duplicates nothing.
 *
 * When space runs out, the least severe and then the oldest record is dropped and counted: a gap
 * with number S and reason `spool_full` or `malformed` covers every missing number just below S.
 */
import type { Finding, Gap, SpooledFinding } from "../../schema/finding.ts";
import { LIMIT } from "../../schema/limit.ts";
import type { KernelCursor } from "../port.ts";
import { foldEntries, hole, joinHoles, ROW_BYTES, SpoolIndex, toGap } from "./spool-index.ts";
import type { Held, Hole } from "./spool-index.ts";
import { parseBody, parseSegment, formatLine, encodePut, RANK } from "./spool-line.ts";
import type { GapReason, GapRow, HeadLine } from "./spool-line.ts";
import { foldSegments } from "./spool-recover.ts";
import { SpoolSegments } from "./spool-segment.ts";
import type { SpoolStorage } from "./spool-storage.ts";

/** Bodies may fill this share of the bound; the rest is room for lines waiting to be deleted. */
const LIVE_SHARE = 0.7;
/** Limit while records are only in memory. */
const MEMORY_BYTES_MAX = 6 * 1024 * 1024;
/** Small enough that acknowledged space is given back soon, large enough for few files. */
const SEGMENT_BYTES_MAX = 1024 * 1024;

export type SpoolOptions = {
  /** `null`: memory only. */
  storage: SpoolStorage | null;
  /** Why there is no storage, for `stats`. */
  failure?: string | null;
  /**
   * Makes an unused stream id: for a new spool, or one whose numbers were taken (see
   * `acknowledge`).
   */
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
  /**
   * Highest number of this stream that the control plane is known to have; less than `#acked` in a
   * stream that replaced another.
   */
  #streamAcked = 0;
  /** Highest number ever returned by `next`; the control plane may already have it. */
  #shown = 0;
  #cursor: KernelCursor | null = null;
  #dropped = 0;
  /** First number of this process; numbers from here on were never sent by an earlier one. */
  readonly #openedAt: number;
  #agreed: boolean;
  /** This process began the stream; earlier reports are unknown. */
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

  /** Position in the kernel log up to which everything was read. */
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

  /**
   * Makes findings and gaps durable, in this order, followed by the kernel position. Writes nothing
   * if there are none: a position alone may be lost.
   */
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
    this.#put(
      kept,
      bodies.filter((body) => seqs.has(body.seq)),
      [...changed, ...holes],
    );
    this.#reclaim();
  }

  /**
   * A hole that follows an unsent one of the same reason is added to it, so that a deaf hour is one
   * row.
   */
  #addGap(gap: NewGap): GapRow {
    const last = this.#index.last();
    if (last?.kind === "hole" && last.reason === gap.reason && last.seq > this.#shown) {
      last.count += gap.count;
      last.atMs = gap.atMs;
      return {
        seq: last.seq,
        span: last.span,
        reason: last.reason,
        count: last.count,
        atMs: last.atMs,
      };
    }
    const row = hole(this.#next++, gap.reason, gap.atMs, 1, gap.count);
    this.#index.add(row);
    return { seq: row.seq, span: 1, reason: row.reason, count: row.count, atMs: row.atMs };
  }

  #shrink(): { dropped: Held[]; holes: GapRow[] } {
    const bytesMax = this.#bound() * LIVE_SHARE;
    const given = this.#index.shrink(bytesMax, this.#shown, this.#options.wallMs());
    for (const held of given.dropped) this.#release(held);
    this.#dropped += given.dropped.length;
    return given;
  }

  /** Of everything where writing goes on now, with what waits to be deleted. */
  #bound(): number {
    if (this.#segments.failure === null) return this.#bytesMax;
    return Math.min(MEMORY_BYTES_MAX, this.#bytesMax);
  }

  #release(held: Held): void {
    if (held.segment >= 0) this.#segments.count(held.segment, -(held.bytes + ROW_BYTES));
  }

  /** Writes one line and notes where each body went. `rows` and `bodies` run in step. */
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

  /**
   * Empties the segments that waste most until the files fit, and those left in memory after a
   * return to disk.
   */
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
    // Even without rows: the holes just made must be on disk before the segment goes.
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
        // Not across what was sent before: the control plane may already have counted that part.
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

  /** Replaces one record that the control plane never accepts by a gap. */
  discard(seq: number): void {
    if (!this.#lose(seq)) return;
    this.#put(
      [],
      [],
      [{ seq, span: 1, reason: "malformed", count: 1, atMs: this.#options.wallMs() }],
    );
  }

  /**
   * Handles the control plane's position in `stream`. If it has numbers that this spool has not
   * issued, the disk was restored: new records then get a new stream, and `renewed` is true.
   * `behind`: it lost what it had acknowledged, because its store was lost.
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
    // Numbers never issued here: another sender uses this stream (a copied machine, one restored
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

  /**
   * In a new stream nothing counts as acknowledged. Until something is, the loss of the old stream
   * would go unnoticed.
   */
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
    // Not synced: an acknowledgement lost in a crash costs one repeated delivery, which is
    // recognised.
    const line = formatLine({ tag: "ack", seq, cursor: this.#cursor });
    this.#segments.write(line, false, this.#options.monoMs(), () => this.#head());
    this.#reclaim();
  }

  /**
   * Retries a disk that refused a write. A healthy node writes nothing for days and would report a
   * missing disk all that time.
   */
  returnToDisk(): void {
    const nowMs = this.#options.monoMs();
    if (!this.#segments.mayReturn(nowMs)) return;
    this.#segments.rotate(nowMs, () => this.#head());
    this.#reclaim();
  }

  /** Keeps the last kernel position, so that a planned restart reads nothing twice. */
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
