/**
 * Reads records of the kernel's log device in batches as they appear; `wake` is called for each
 * batch. One read of the device gives one record; the runtime's stream reads natively at about a
 * third of the cost of a read from here. An overrun of the ring (EPIPE) ends the stream but not the
 * descriptor, which the kernel has moved to the oldest record (Linux,
 * Documentation/ABI/testing/dev-kmsg): the next stream continues there.
 *
 * Adapter: a character device.
 */
import { closeSync, readSync } from "node:fs";
import { failureOf, RECORD_BYTES, type Source, type SourceRead } from "./source.ts";

/** Unread batches: some 10,000 records; beyond that, records stay in the ring. */
const WAITING_BYTES_MAX = 1024 * 1024;
/** Cost of an answer without records, which bounds a series of overruns. */
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
  /** True while the stream holds no records: it waits for the kernel, or there is no stream. */
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
    // Closed earlier, the descriptor's number could be reused while the stream reads it.
    this.#cancel().then(end, end);
  }

  /** The next line that begins a record; ` KEY=value` lines continue the previous one. */
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
   * Reads the device itself: the first records, the last ones before the end, and as proof that an
   * idle log is readable. The stream holds no records then, so order is kept.
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
    for (let failed = false; !failed && !this.#closed;) {
      const end = await this.#stream().catch(failureOf);
      this.#pulling = false;
      if (this.#closed) return;
      failed = end.kind === "failed";
      this.#put(end);
    }
  }

  /** Takes batches until the stream ends; answers how it ended. */
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
