/**
 * Reads records from a FIFO or a file in the form of `/dev/kmsg`, for rehearsals. The stream is
 * split at line ends; lines that start with a space belong to the previous record, and an
 * unfinished last line waits for its rest.
 *
 * Adapter: files.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from "node:fs";
import { failureOf, RECORD_BYTES, type Source, type SourceRead } from "./source.ts";

/** One read of a stream: several hundred lines. */
const STREAM_BYTES = 64 * 1024;

const NEWLINE = 0x0a;
const SPACE = 0x20;

/** Owns its descriptor, which changes when the file is rotated. */
export class FileSource implements Source {
  readonly device = false;
  private readonly path: string;
  private fd: number;
  private readonly regular: boolean;
  /** Next byte to read of a regular file. */
  private offset = 0;
  private readonly buffer = Buffer.allocUnsafe(STREAM_BYTES + RECORD_BYTES);
  /** Unread bytes are `buffer[from, to)`. */
  private from = 0;
  private to = 0;
  /** Inside a line that is too long, which is dropped to its end. */
  private skipping = false;

  constructor(path: string, fd: number, regular: boolean) {
    this.path = path;
    this.fd = fd;
    this.regular = regular;
  }

  next(): SourceRead {
    for (;;) {
      const line = this.takeLine();
      if (line === "oversized") return { kind: "oversized" };
      if (line) {
        // Empty lines and continuation lines hold no facts.
        if (line.length === 0 || line[0] === SPACE) continue;
        return { kind: "record", bytes: line };
      }
      const filled = this.fill();
      if (filled) return filled;
    }
  }

  close(): void {
    closeSync(this.fd);
  }

  private takeLine(): Buffer | "oversized" | null {
    const end = this.buffer.subarray(0, this.to).indexOf(NEWLINE, this.from);
    if (end < 0) {
      if (this.to - this.from < RECORD_BYTES) return null;
      // A continuation line of any length is not a record.
      const isRecord = !this.skipping && this.buffer[this.from] !== SPACE;
      this.from = this.to;
      this.skipping = true;
      return isRecord ? "oversized" : null;
    }
    const line = this.buffer.subarray(this.from, end);
    this.from = end + 1;
    if (!this.skipping) return line;
    this.skipping = false;
    return this.buffer.subarray(0, 0);
  }

  /** Reads more; `null` = the buffer has grown, else the answer to give. */
  private fill(): SourceRead | null {
    this.buffer.copyWithin(0, this.from, this.to);
    this.to -= this.from;
    this.from = 0;
    try {
      const position = this.regular ? this.offset : null;
      const size = readSync(this.fd, this.buffer, this.to, STREAM_BYTES, position);
      this.to += size;
      this.offset += size;
      if (size > 0) return null;
      // A FIFO reads 0 bytes without a writer; a file at its end may have been replaced.
      return this.regular ? this.renewed() : { kind: "idle" };
    } catch (error) {
      return failureOf(error);
    }
  }

  private renewed(): SourceRead {
    const now = statOf(this.path);
    const mine = fstatSync(this.fd);
    if (now && (now.ino !== mine.ino || now.dev !== mine.dev)) {
      if (!now.isFile()) return { kind: "failed", message: `${this.path} is no longer a file` };
      const fresh = openSync(this.path, constants.O_RDONLY | constants.O_NONBLOCK);
      closeSync(this.fd);
      this.fd = fresh;
    } else if (mine.size >= this.offset) {
      return { kind: "idle" };
    }
    this.offset = 0;
    this.from = 0;
    this.to = 0;
    this.skipping = false;
    return { kind: "restarted" };
  }
}

function statOf(path: string): Stats | null {
  try {
    return statSync(path);
  } catch {
    // Moved and not yet replaced: the open file is still the log.
    return null;
  }
}
