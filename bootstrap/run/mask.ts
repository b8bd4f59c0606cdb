/**
 * Keeps secrets and control characters out of what is stored and later printed on a terminal. Works
 * on bytes, so that a secret is found wherever chunks and kept pieces were cut, and hides a text
 * that ends inside a secret. What it cannot find is a secret in an encoding that it does not know
 * (base64 of a longer text, say): commands are told not to print them.
 */

/** Shorter texts would hide half of the output; real tokens are far longer. */
const SECRET_MIN = 4;
/** Longer secrets (keys, certificates) are hidden in pieces, which bounds what is kept at a cut. */
const PIECE = /[^]{1,512}/gu;
const COVER = "***";

/**
 * The product's own tokens by their look: admin's, person's, join token, node's credential. Of most
 * of them a control plane keeps a hash alone, and a machine may well show one that another fleet
 * made. At the very end of a text a beginning is enough, for the rest may be on its way.
 */
const TOKEN = /(?<![A-Za-z0-9])nv[ajnt]\.(?:[A-Za-z0-9_.-]{16,252}|[A-Za-z0-9_.-]{0,15}$)/g;
/** A node's: prefix, an id of 128 characters in base64, a number, 256 bits in base64. */
const TOKEN_BYTES_MAX = 256;

export type Mask = {
  /** Bytes that must be known on each side of a cut for every secret across it to be found. */
  readonly contextBytes: number;
  /** `bytes[from, to)` as clean text; a secret that only reaches into it is hidden too. */
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
    // Removing an escape sequence can join the halves of a secret that was printed around it.
    const again = Buffer.from(clean);
    return once(again, 0, again.length);
  };
  const text = (given: string): string => {
    const bytes = Buffer.from(given);
    return cover(bytes, 0, bytes.length);
  };
  return { contextBytes, cover, text };
}

/** A secret as it may appear: whole or line by line, bare, in a URL, in JSON, in shell quotes. */
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

/** Where secrets lie, in order and without overlap; also one that is cut off by the end. */
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

/** How much of the beginning of `needle` the bytes end with. */
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
const SEQUENCE = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\))/g;
// C0 but tab and line feed, DEL, C1, and what reverses the direction or breaks the line.
const CONTROL =
  /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** Text that does nothing to a terminal but appear; a bare carriage return breaks the line. */
export function cleanText(text: string): string {
  return text.replace(SEQUENCE, "").replace(/\r\n?/g, "\n").replace(CONTROL, "\ufffd");
}
