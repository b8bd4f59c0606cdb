/**
 * Encodes and parses lines of a spool segment. A line is an atomic batch of findings, gaps and the
 * kernel position: a line without its checksum or its end does not count. Pure.
 *
 * Form: eight hex digits of CRC-32, a space, one JSON object, a newline. In a `put` line the bodies
 * of the findings come last, so that each can be read by its place and length.
 */
import type { Finding, Gap, Severity } from "../../schema/finding.ts";
import type { KernelCursor } from "../port/port.ts";

/** The index is the rank by which a full spool drops records. */
export const RANK: readonly Severity[] = ["info", "warning", "serious", "fatal"];

export type GapReason = Gap["reason"];

/** A counted hole at `seq`; `span` is how many numbers of the stream it covers. */
export type GapRow = { seq: number; span: number; reason: GapReason; count: number; atMs: number };

/** `rank` is the index into `RANK`; `bytes` the length of the body. */
export type FindingRow = { seq: number; rank: number; bytes: number };

/** The spool's state without the bodies: the first line of every segment. */
export type HeadLine = {
  tag: "head";
  stream: string;
  acked: number;
  next: number;
  cursor: KernelCursor | null;
  gaps: GapRow[];
};
export type PutLine = {
  tag: "put";
  rows: FindingRow[];
  gaps: GapRow[];
  cursor: KernelCursor | null;
};
export type AckLine = { tag: "ack"; seq: number; cursor: KernelCursor | null };
export type Line = HeadLine | PutLine | AckLine;
const TAGS: readonly string[] = ["head", "put", "ack"] satisfies Line["tag"][];

/** A line with where its first body starts, from the first byte of the segment. */
export type PlacedLine = { line: Line; bodiesAt: number };

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NEWLINE = 10;
/** `xxxxxxxx ` before the JSON. */
const PREFIX_BYTES = 9;

function seal(json: string): Uint8Array {
  const body = encoder.encode(json);
  const crc = Bun.hash.crc32(body).toString(16).padStart(8, "0");
  return encoder.encode(`${crc} ${json}\n`);
}

/** The bytes of a line without bodies. */
export function formatLine(line: HeadLine | AckLine): Uint8Array {
  return seal(JSON.stringify(line));
}

/**
 * The bytes of a `put` line. `bodiesAt` is relative to the first byte of the line; each body is one
 * byte (a comma) after the end of the one before.
 */
export function encodePut(
  put: { gaps: GapRow[]; cursor: KernelCursor | null },
  findings: readonly { seq: number; body: string; rank: number }[],
): { bytes: Uint8Array; rows: FindingRow[]; bodiesAt: number } {
  const rows = findings.map(({ seq, body, rank }) => ({
    seq,
    rank,
    bytes: Buffer.byteLength(body),
  }));
  const head = JSON.stringify({ tag: "put", rows, gaps: put.gaps, cursor: put.cursor });
  const before = `${head.slice(0, -1)},"bodies":[`;
  const bytes = seal(`${before}${findings.map((f) => f.body).join(",")}]}`);
  return { bytes, rows, bodiesAt: PREFIX_BYTES + Buffer.byteLength(before) };
}

/** The intact lines of a segment, and the number of damaged ones: unfinished writes. */
export function parseSegment(bytes: Uint8Array): { lines: PlacedLine[]; damaged: number } {
  const lines: PlacedLine[] = [];
  let damaged = 0;
  let at = 0;
  while (at < bytes.length) {
    const newline = bytes.indexOf(NEWLINE, at);
    const end = newline < 0 ? bytes.length : newline;
    const line = newline < 0 ? null : parseLine(bytes.subarray(at, end), at);
    if (line) lines.push(line);
    else damaged++;
    at = end + 1;
  }
  return { lines, damaged };
}

function parseLine(bytes: Uint8Array, at: number): PlacedLine | null {
  if (bytes.length <= PREFIX_BYTES) return null;
  const json = bytes.subarray(PREFIX_BYTES);
  const crc = Number.parseInt(decoder.decode(bytes.subarray(0, 8)), 16);
  if (crc !== Bun.hash.crc32(json)) return null;
  // The checksum guarantees the shape: only `formatLine` and `encodePut` write these bytes. Other
  // tags are lines of another release.
  const line = JSON.parse(decoder.decode(json)) as Line;
  if (!TAGS.includes(line.tag)) return null;
  if (line.tag !== "put") return { line, bodiesAt: 0 };
  const commas = Math.max(0, line.rows.length - 1);
  const bodies = line.rows.reduce((sum, row) => sum + row.bytes, commas);
  // The two last bytes close the list and the object.
  return { line, bodiesAt: at + bytes.length - 2 - bodies };
}

/** A body, or `null` if the bytes are damaged. */
export function parseBody(bytes: Uint8Array): Finding | null {
  try {
    return JSON.parse(decoder.decode(bytes)) as Finding;
  } catch {
    return null;
  }
}
