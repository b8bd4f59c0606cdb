/**
 * Keeps the output of one stream in bounded memory: the first and the last 32 KiB, and the size of
 * what was left out. A little more is kept at each cut, so that a secret across it is still hidden.
 */
import type { Output } from "../../schema/bootstrap.ts";
import type { Mask } from "./mask.ts";

/** Of head and of tail (64 KiB a stream). */
export const PART_BYTES = 32 * 1_024;

/** Of UTF-8: a cut looks this far for the border of a character. */
const CHAR_BYTES_MAX = 4;

const NO_OUTPUT: Output = { head: "", tail: "", droppedBytes: 0 };

export class OutputBuffer {
  readonly #mask: Mask;
  readonly #partBytes: number;
  /** The first bytes: the head and what follows it. */
  #head: Buffer | null = null;
  /** A ring of the last bytes: the tail and what precedes it. */
  #ring: Buffer | null = null;
  #total = 0;

  constructor(mask: Mask, partBytes: number = PART_BYTES) {
    this.#mask = mask;
    this.#partBytes = partBytes;
  }

  get #keepBytes(): number {
    return this.#partBytes + Math.max(CHAR_BYTES_MAX, this.#mask.contextBytes);
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    const head = (this.#head ??= Buffer.alloc(this.#keepBytes));
    if (this.#total < head.length) {
      head.set(chunk.subarray(0, head.length - this.#total), this.#total);
    }
    const ring = (this.#ring ??= Buffer.alloc(this.#keepBytes));
    const kept = chunk.subarray(Math.max(0, chunk.length - ring.length));
    const at = (this.#total + chunk.length - kept.length) % ring.length;
    const first = Math.min(kept.length, ring.length - at);
    ring.set(kept.subarray(0, first), at);
    ring.set(kept.subarray(first), 0);
    this.#total += chunk.length;
  }

  /** The text so far; costs a pass over the kept bytes. */
  read(): Output {
    if (this.#ring === null || this.#head === null) return NO_OUTPUT;
    const first = this.#head.subarray(0, this.#total);
    if (this.#total <= this.#partBytes) {
      return { head: this.#mask.cover(first, 0, this.#total), tail: "", droppedBytes: 0 };
    }
    const cut = charStart(first, this.#partBytes, -1);
    const head = this.#mask.cover(first, 0, cut);
    const last = this.#last(this.#ring);
    const offset = this.#total - last.length;
    const contiguous = this.#total - this.#partBytes <= cut;
    const from = contiguous ? cut - offset : charStart(last, last.length - this.#partBytes, 1);
    const tail = this.#mask.cover(last, from, last.length);
    return { head, tail, droppedBytes: offset + from - cut };
  }

  /** The ring in order. */
  #last(ring: Buffer): Buffer {
    if (this.#total <= ring.length) return ring.subarray(0, this.#total);
    const at = this.#total % ring.length;
    return Buffer.concat([ring.subarray(at), ring.subarray(0, at)]);
  }
}

/** The nearest beginning of a UTF-8 character at or beside `at`, in direction `by`. */
function charStart(bytes: Buffer, at: number, by: 1 | -1): number {
  for (let step = 0; step < CHAR_BYTES_MAX; step++) {
    const place = at + step * by;
    if (((bytes[place] ?? 0) & 0xc0) !== 0x80) return place;
  }
  return at;
}
