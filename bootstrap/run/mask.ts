/**
 * Removes secrets and control characters from output that is stored and printed. Works on bytes, so
 * that a secret is found across cuts, and hides a secret that the end of the text cuts off. Cannot
 * find a secret in an unknown encoding (base64 of a longer text): commands must not print those.
 */

/** Shorter texts would match half of the output; real tokens are longer. */
const SECRET_MIN = 4;
/** Longer secrets (keys, certificates) are hidden in pieces, which bounds what is kept at a cut. */
const PIECE = /[^]{1,512}/gu;
const COVER = "***";

/**
 * Tokens of the product by their form (admin, person, join, node), since the control plane stores
 * only hashes of most. At the end of a text a prefix matches: the rest may follow.
 */
const TOKEN = /(?<![A-Za-z0-9])nv[ajnt]\.(?:[A-Za-z0-9_.-]{16,252}|[A-Za-z0-9_.-]{0,15}$)/g;
/** A node's token: prefix, id of 128 characters in base64, number, 256 bits in base64. */
const TOKEN_BYTES_MAX = 256;

export type Mask = {
  /** Bytes needed on each side of a cut to find every secret across it. */
  readonly contextBytes: number;
  /** `bytes[from, to)` as clean text; a secret that overlaps it is hidden too. */
  cover(bytes: Buffer, from: number, to: number): string;
  text(text: string): string;
};

export function createMask(secrets: readonly string[]): Mask {
  const needles = [...new Set(secrets.flatMap(formsOf))].map((form) => Buffer.from(form));
  const contextBytes = Math.max(TOKEN_BYTES_MAX, ...needles.map((needle) => needle.length));
  const once = (bytes: Buffer, from: number, to: number): string => {
    let text = "";
    let at = from;
    for (const [start, end] of spansOf(bytes, needles)) {
      if (end <= at || start >= to) continue;
      if (start > at) text += decode(bytes.subarray(at, start));
      text += COVER;
      at = Math.min(end, to);
    }
    return text + decode(bytes.subarray(at, to));
  };
  const cover = (bytes: Buffer, from: number, to: number): string => {
    const clean = cleanText(once(bytes, from, to));
    // Removing an escape sequence can join two halves of a secret.
    const again = Buffer.from(clean);
    return once(again, 0, again.length);
  };
  const text = (given: string): string => {
    const bytes = Buffer.from(given);
    return cover(bytes, 0, bytes.length);
  };
  return { contextBytes, cover, text };
}

/** Forms of a secret: whole or by line, bare, in a URL, in JSON, in shell quotes. */
function formsOf(secret: string): string[] {
  const lines = secret.split(/\r?\n/).map((line) => line.trim());
  const shell = (line: string): string => line.replaceAll("'", "'\\''");
  return lines
    .flatMap((line) => [line, encode(line), JSON.stringify(line).slice(1, -1), shell(line)])
    .flatMap((form) => form.match(PIECE) ?? [])
    .filter((form) => form.length >= SECRET_MIN);
}

function encode(text: string): string {
  return text.isWellFormed() ? encodeURIComponent(text) : text;
}

type Span = [start: number, end: number];

/** Ranges of secrets, in order, without overlap; the end of the text may cut the last. */
function spansOf(bytes: Buffer, needles: readonly Buffer[]): Span[] {
  const found: Span[] = [];
  // One character a byte, so that places in the text are places in the bytes.
  for (const { index, 0: token } of bytes.toString("latin1").matchAll(TOKEN)) {
    found.push([index, index + token.length]);
  }
  for (const needle of needles) {
    for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1)) {
      found.push([at, at + needle.length]);
    }
    const cut = cutLength(bytes, needle);
    if (cut > 0) found.push([bytes.length - cut, bytes.length]);
  }
  found.sort((a, b) => a[0] - b[0]);
  const merged: Span[] = [];
  for (const [start, end] of found) {
    const last = merged.at(-1);
    if (last !== undefined && start <= last[1]) last[1] = Math.max(last[1], end);
    else merged.push([start, end]);
  }
  return merged;
}

/** Length of the longest prefix of `needle` that ends the bytes. */
function cutLength(bytes: Buffer, needle: Buffer): number {
  const most = Math.min(needle.length - 1, bytes.length);
  for (let length = most; length >= SECRET_MIN; length--) {
    if (bytes.subarray(bytes.length - length).equals(needle.subarray(0, length))) return length;
  }
  return 0;
}

function decode(bytes: Buffer): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

// Colours and titles: ECMA-48 control sequences, and operating system commands up to their end.
const SEQUENCE = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\]([^\x07\x1b]*)(?:\x07|\x1b\\))/g;
/** A longer one is text between two bytes that a program printed by chance. */
const COMMAND_CHARS_MAX = 4_096;
// C0 but tab and line feed, DEL, C1, and what reverses the direction or breaks the line.
const CONTROL =
  /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** Text without effect on a terminal; a bare carriage return becomes a line break. */
export function cleanText(text: string): string {
  const shown = text.replace(SEQUENCE, (all, command: string | undefined) => {
    return (command ?? "").length > COMMAND_CHARS_MAX ? all : "";
  });
  return shown.replace(/\r\n?/g, "\n").replace(CONTROL, "\ufffd");
}
