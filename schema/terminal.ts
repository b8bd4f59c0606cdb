/**
 * Makes foreign text safe for terminals and logs: no escape sequence controls the screen, and no
 * bidirectional override makes a name look like another (CVE-2021-42574). Pure.
 */

/**
 * C0 but line break and tab, DEL, C1, marks of direction, invisible line ends, half pairs, and what
 * no font shows but a program reads: operators of formulas, letters as tags.
 */
const UNSAFE =
  "[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u061c\\u200b\\u200e\\u200f\\u2028\\u2029" +
  "\\u202a-\\u202e\\u2060-\\u206f\\ufeff\\u{e0000}-\\u{e007f}]|\\p{Cs}";
/** Sequences that this program writes: colours, and overwriting a line. */
const OWN = "\\r?\\u001b\\[(?:K|(?:0|1|2|22|31|32|33)m)";

const unsafe = new RegExp(UNSAFE, "gu");
const ownOrUnsafe = new RegExp(`(${OWN})|${UNSAFE}`, "gu");

/** One line without control characters, for a cell, a label, a message. */
export function oneLine(text: string): string {
  return text.replace(/[\r\n\t]+/g, " ").replace(unsafe, "?");
}

/** The last guard of all output for people. */
export function terminalSafe(text: string): string {
  return text.replace(ownOrUnsafe, (_found, own: string | undefined) => own ?? "?");
}

/** For JSON, or YAML with such scalars in double quotes: equal data, all visible. */
export function escapeData(text: string): string {
  return text.replace(unsafe, (found) =>
    // JSON writes what is beyond 16 bits as a pair.
    found.replace(/[^]/g, (half) => `\\u${half.charCodeAt(0).toString(16).padStart(4, "0")}`),
  );
}

/** One line of a log. */
export function logText(line: string): string {
  return escapeData(line.replace(/[\r\n\t]+/g, " "));
}

/** Whether the text has anything that `escapeData` would escape. */
export function isUnsafe(text: string): boolean {
  return text.search(unsafe) >= 0;
}
