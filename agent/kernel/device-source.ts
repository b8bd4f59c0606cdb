/**
 * The kernel's log device as a source of records: everything that the ring holds is taken as soon
 * as it is there, many records at a time, and `wake` is called for each batch.
 *
 * One read of the device gives one record. The runtime's stream takes records natively until the
 * device has no more, at about a third of what a read from here costs; the rest of this file finds
 * line ends in what it gave. The descriptor is this file's own: an overrun of the ring (EPIPE) ends
 * the stream but not the descriptor, which the kernel has moved to the oldest record that is left
 * (Linux, Documentation/ABI/testing/dev-kmsg). The next stream goes on from there at once.
 *
 * Adapter: a character device.
 */
import { closeSync, readSync } from "node:fs";
import { failureOf, RECORD_BYTES, type Source, type SourceRead } from "./source.ts";

/**
 * What may wait to be looked at: some 10,000 records, more than comes between two looks at a log
 * that a user-space writer floods. Beyond it the ring itself keeps what comes.
 */
const WAITING_BYTES_MAX = 1024 * 1024;
/** An answer without records counts as this many bytes, so that overruns alone are bounded too. */
const ANSWER_BYTES = 1024;

const NEWLINE = 0x0a;
const SPACE = 0x20;

type Batch = { kind: "batch"; bytes: Buffer } | SourceRead;

function sizeOf(batch: Batch): number {
  return batch.kind === "batch" ? batch.bytes.length : ANSWER_BYTES;
}

export class DeviceSource implements Source {
  readonly device = true;
  readonly #fd: number;
  readonly #wake: (() => void) | null;
  readonly #one = Buffer.allocUnsafe(RECORD_BYTES);
  readonly #waiting: Batch[] = [];
  #waitingBytes = 0;
  #batch: Buffer = Buffer.alloc(0);
  #from = 0;
  /** True while no stream holds anything that is not here: it waits for the kernel, or is none. */
  #pulling: boolean;
  #hasRoom = () => {};
  #cancel: () => Promise<void> = () => Promise.resolve();
  #closed = false;

  /** Without `wake` the device is read only when `next` is called. */
  constructor(fd: number, wake: (() => void) | null) {
    this.#fd = fd;
    this.#wake = wake;
    this.#pulling = wake === null;
    if (wake !== null) void this.#follow();
  }

  next(): SourceRead {
    for (;;) {
      const line = this.#takeLine();
      if (line !== null) return { kind: "record", bytes: line };
      const next = this.#waiting.shift();
      if (next === undefined) return this.#readOne();
      this.#waitingBytes -= sizeOf(next);
      this.#hasRoom();
      if (next.kind !== "batch") return next;
      this.#batch = next.bytes;
      this.#from = 0;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#hasRoom();
    const end = () => closeSync(this.#fd);
    // A number that is free again too early could be another file's while the stream still uses it.
    this.#cancel().then(end, end);
  }

  /** The next line that begins a record; ` KEY=value` lines belong to the one before. */
  #takeLine(): Buffer | null {
    while (this.#from < this.#batch.length) {
      const start = this.#from;
      const found = this.#batch.indexOf(NEWLINE, start);
      const end = found < 0 ? this.#batch.length : found;
      this.#from = end + 1;
      if (end > start && this.#batch[start] !== SPACE) return this.#batch.subarray(start, end);
    }
    return null;
  }

  /**
   * Asks the device itself: for the first records, for the last ones before the end, and as proof
   * that an idle log can still be read. Order is kept, because the stream holds nothing.
   */
  #readOne(): SourceRead {
    if (!this.#pulling || this.#closed) return { kind: "idle" };
    try {
      const size = readSync(this.#fd, this.#one, 0, RECORD_BYTES, null);
      if (size === 0) return { kind: "idle" };
      const end = this.#one.subarray(0, size).indexOf(NEWLINE);
      return { kind: "record", bytes: this.#one.subarray(0, end < 0 ? size : end) };
    } catch (error) {
      return failureOf(error);
    }
  }

  async #follow(): Promise<void> {
    for (let failed = false; !failed && !this.#closed; ) {
      const end = await this.#stream().catch(failureOf);
      this.#pulling = false;
      if (this.#closed) return;
      failed = end.kind === "failed";
      this.#put(end);
    }
  }

  /** Takes batches until the stream ends, and says how it did. */
  async #stream(): Promise<SourceRead> {
    const reader = Bun.file(this.#fd).stream().getReader();
    this.#cancel = () => reader.cancel();
    for (;;) {
      await this.#room();
      if (this.#closed) return { kind: "idle" };
      this.#pulling = true;
      const { done, value } = await reader.read();
      this.#pulling = false;
      if (done) return { kind: "failed", message: "the kernel log ended" };
      const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      this.#put({ kind: "batch", bytes });
    }
  }

  #put(batch: Batch): void {
    this.#waiting.push(batch);
    this.#waitingBytes += sizeOf(batch);
    this.#wake?.();
  }

  async #room(): Promise<void> {
    while (this.#waitingBytes >= WAITING_BYTES_MAX && !this.#closed) {
      await new Promise<void>((resolve) => {
        this.#hasRoom = resolve;
      });
    }
  }
}
