/**
 * Manages the segments of a spool: which one is written, how full each is, and which can be
 * deleted. When the disk refuses a write, writing continues in memory, and the disk is retried.
 */
import { formatLine, type HeadLine } from "./spool-line.ts";
import { createMemoryStorage, type SpoolStorage } from "./spool-storage.ts";

type Segment = { storage: SpoolStorage; bytes: number; live: number };

/** A disk that refused a write is retried after this time. */
const RETRY_MS = 60_000;

export class SpoolSegments {
  readonly #disk: SpoolStorage | null;
  readonly #memory = createMemoryStorage();
  readonly #segments = new Map<number, Segment>();
  readonly #bytesEach: number;
  #current = 0;
  #failedAtMs = -Infinity;
  /** Why the disk is not used, or `null` while it is. */
  failure: string | null;

  constructor(disk: SpoolStorage | null, bytesEach: number, failure: string | null) {
    this.#disk = disk;
    this.#bytesEach = bytesEach;
    this.failure = disk ? null : (failure ?? "no directory");
    for (const number of disk?.list() ?? []) {
      this.#current = Math.max(this.#current, number);
      if (disk) this.#segments.set(number, { storage: disk, bytes: 0, live: 0 });
    }
  }

  numbers(): number[] {
    return [...this.#segments.keys()].sort((a, b) => a - b);
  }

  load(number: number): Uint8Array {
    const segment = this.#segments.get(number);
    if (!segment) return new Uint8Array(0);
    const bytes = segment.storage.load(number);
    segment.bytes = bytes.length;
    return bytes;
  }

  read(number: number, at: number, bytes: number): Uint8Array {
    return this.#segments.get(number)?.storage.read(number, at, bytes) ?? new Uint8Array(0);
  }

  /** Changes the bytes of a segment that are still needed. */
  count(number: number, bytes: number): void {
    const segment = this.#segments.get(number);
    if (segment) segment.live += bytes;
  }

  /** Writes one line, to memory if the disk refuses it; answers where it begins. */
  write(
    line: Uint8Array,
    durable: boolean,
    nowMs: number,
    head: () => HeadLine,
  ): { segment: number; at: number } {
    const current = this.#segments.get(this.#current);
    const full = !current || current.bytes >= this.#bytesEach;
    if (full || this.mayReturn(nowMs)) this.rotate(nowMs, head);
    return this.#append(line, durable) ?? this.#fallBack(line, nowMs, head);
  }

  /** Begins a new segment; after its head, only the bodies of earlier segments are needed. */
  rotate(nowMs: number, head: () => HeadLine): void {
    if (this.mayReturn(nowMs)) this.failure = null;
    this.#begin(this.failure === null && this.#disk ? this.#disk : this.#memory);
    if (!this.#append(formatLine(head()), true)) this.#fallBack(null, nowMs, head);
  }

  #begin(storage: SpoolStorage): void {
    this.#current++;
    this.#segments.set(this.#current, { storage, bytes: 0, live: 0 });
  }

  #append(line: Uint8Array, durable: boolean): { segment: number; at: number } | null {
    const segment = this.#segments.get(this.#current);
    if (!segment) return null;
    const answer = segment.storage.append(this.#current, line, durable);
    if (!answer.ok) {
      this.failure = answer.message;
      return null;
    }
    const at = segment.bytes;
    segment.bytes += line.length;
    return { segment: this.#current, at };
  }

  #fallBack(
    line: Uint8Array | null,
    nowMs: number,
    head: () => HeadLine,
  ): { segment: number; at: number } {
    this.#failedAtMs = nowMs;
    this.#begin(this.#memory);
    const started = this.#append(formatLine(head()), false);
    const written = line ? this.#append(line, false) : started;
    if (!written) throw new Error("memory refused a spool line");
    return written;
  }

  /** True if it is time to retry the disk. */
  mayReturn(nowMs: number): boolean {
    if (this.failure === null || this.#disk === null) return false;
    return nowMs - this.#failedAtMs >= RETRY_MS;
  }

  /** Bytes of all segments in the storage in use: the disk, or memory. */
  total(): number {
    const home = this.#segments.get(this.#current)?.storage;
    let sum = 0;
    for (const segment of this.#segments.values())
      if (segment.storage === home) sum += segment.bytes;
    return sum;
  }

  /** Deletes segments that hold nothing needed, except the current one. */
  sweep(): void {
    for (const [number, segment] of this.#segments) {
      if (number === this.#current || segment.live > 0) continue;
      segment.storage.remove(number);
      this.#segments.delete(number);
    }
  }

  /**
   * The segment with the smallest needed share: moving that frees the most. Only among those of
   * `total`, so that nothing leaves the disk while writing goes to memory.
   */
  wasteful(): number | null {
    const home = this.#segments.get(this.#current)?.storage;
    let best: number | null = null;
    let least = Infinity;
    for (const [number, segment] of this.#segments) {
      const share = segment.live / Math.max(1, segment.bytes);
      const movable = number !== this.#current && segment.storage === home;
      if (movable && share < least) [best, least] = [number, share];
    }
    return best;
  }

  /** A segment in memory although the disk is in use again, or `null`. */
  stranded(): number | null {
    if (this.failure !== null) return null;
    for (const [number, segment] of this.#segments) {
      if (segment.storage === this.#memory) return number;
    }
    return null;
  }

  close(): void {
    this.#disk?.close();
  }
}
