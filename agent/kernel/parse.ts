/**
 * Parses one record of `/dev/kmsg` (docs/reference/kernel-log.md#records). Pure. Records of
 * user-space writers have facility 1 or more and are accepted: rehearsals use them.
 */

export type KmsgRecord = {
  facility: number;
  /** 0 emergency … 7 debug. Xid lines come at 4. */
  level: number;
  /** Sequence number, from 0 at each boot. */
  seq: number;
  /** Microseconds on the boot clock. */
  usec: number;
  /** `c` in the flags: a piece of a line. */
  fragment: boolean;
  /** Unescaped; may hold line breaks. */
  message: string;
};

export type ParsedRecord =
  | { ok: true; record: KmsgRecord }
  /** `head` is the start of the text. */
  | { ok: false; reason: "no_separator" | "bad_header"; head: string };

/** How much of a malformed record is kept. */
const HEAD_CHARS = 200;

const HEADER = /^(\d{1,10}),(\d{1,16}),(\d{1,16}),([^,]*)(?:,.*)?$/s;

const ESCAPED = /(?:\\x[0-9a-fA-F]{2})+/g;

/** The kernel escapes bytes below 0x20, from 0x7f up, and the backslash; runs form UTF-8 text. */
export function unescapeKmsg(text: string): string {
  if (!text.includes("\\x")) return text;
  return text.replace(ESCAPED, (run) =>
    Buffer.from(run.replaceAll("\\x", ""), "hex").toString("utf8"),
  );
}

/** Leaves out lines after the first (` KEY=value`) and ignores header fields after the fourth. */
export function parseRecord(text: string): ParsedRecord {
  const separator = text.indexOf(";");
  const head = text.slice(0, HEAD_CHARS);
  if (separator < 0) return { ok: false, reason: "no_separator", head };
  const parts = HEADER.exec(text.slice(0, separator));
  if (!parts) return { ok: false, reason: "bad_header", head };
  const priority = Number(parts[1]);
  const seq = Number(parts[2]);
  const usec = Number(parts[3]);
  if (!Number.isSafeInteger(seq) || !Number.isSafeInteger(usec)) {
    return { ok: false, reason: "bad_header", head };
  }
  const end = text.indexOf("\n", separator);
  const raw = text.slice(separator + 1, end < 0 ? undefined : end);
  return {
    ok: true,
    record: {
      facility: Math.floor(priority / 8),
      level: priority % 8,
      seq,
      usec,
      fragment: parts[4]?.includes("c") ?? false,
      message: unescapeKmsg(raw),
    },
  };
}
