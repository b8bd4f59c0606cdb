/**
 * Splits the body of a watch into lines, one JSON object each, and interprets them. Chunks may end
 * anywhere, even inside a character. Pure.
 */
import { readStatus } from "./answer.ts";
import type { WatchEnd, WatchEvent } from "./api.ts";

const NEWLINE = 0x0a;

/** Ten times the largest object: etcd takes 1.5 MiB a request and the API server 3 MiB. */
export const LINE_BYTES_MAX = 32 * 1024 * 1024;

/** Splits a byte stream into lines; holds the incomplete line. */
export class LineSplitter {
  readonly #bytesMax: number;
  readonly #decoder = new TextDecoder();
  #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(bytesMax: number = LINE_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  /** The lines that this chunk completes, without line ends; `null` if one is too long. */
  push(chunk: Uint8Array): string[] | null {
    const lines: string[] = [];
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, from);
      if (end === -1) break;
      lines.push(this.#take(chunk.subarray(from, end)));
      from = end + 1;
    }
    if (from < chunk.byteLength) {
      // A copy, because the stream may reuse its buffer.
      const rest = chunk.slice(from);
      this.#parts.push(rest);
      this.#bytes += rest.byteLength;
    }
    return this.#bytes > this.#bytesMax ? null : lines;
  }

  /** True inside a line: the stream broke off. */
  torn(): boolean {
    return this.#bytes > 0;
  }

  #take(last: Uint8Array): string {
    if (this.#bytes === 0) return this.#decoder.decode(last);
    const whole = Buffer.concat([...this.#parts, last]);
    this.#parts = [];
    this.#bytes = 0;
    return this.#decoder.decode(whole);
  }
}

export type WatchLine =
  | { kind: "event"; event: WatchEvent }
  | { kind: "end"; end: WatchEnd }
  /** An empty line, or an event of an unknown, newer type. */
  | { kind: "nothing" };

/**
 * An `ERROR` event carries a Status and ends its stream: 410 there means the same as HTTP 410
 * (docs/reference/runtime.md#http); a watch that ignores it loops.
 */
export function parseWatchLine(line: string): WatchLine {
  if (line.trim() === "") return { kind: "nothing" };
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { kind: "end", end: { kind: "lost", message: "a line of the watch is no JSON" } };
  }
  if (typeof value !== "object" || value === null || !("type" in value) || !("object" in value)) {
    return { kind: "end", end: { kind: "lost", message: "a line of the watch is no event" } };
  }
  const { type, object } = value;
  switch (type) {
    case "ADDED":
    case "MODIFIED":
    case "DELETED":
    case "BOOKMARK":
      return { kind: "event", event: { type, object } };
    case "ERROR":
      return { kind: "end", end: endOf(object) };
    default:
      return { kind: "nothing" };
  }
}

function endOf(object: unknown): WatchEnd {
  const status = readStatus(object);
  if (status === null) return { kind: "lost", message: "an error of the watch without a Status" };
  return refusedWatch(status.code ?? 500, status.reason, status.message, status.retryAfterMs);
}

/** A refusal of a watch, in the stream or as the answer. */
export function refusedWatch(
  status: number,
  reason: string,
  message: string,
  retryAfterMs: number | null,
): WatchEnd {
  if (status === 410 || reason === "Expired" || reason === "Gone") return { kind: "expired" };
  return { kind: "refused", status, message: `${reason || status}: ${message}`, retryAfterMs };
}
