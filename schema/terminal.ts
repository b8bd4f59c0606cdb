/**
 * What may reach a terminal or a log. Names, labels and messages come from machines and people that
 * are not ours: an escape sequence must not drive the operator's screen, and a bidirectional
 * override must not make a name read as another (CVE-2021-42574). Pure.
 */

/** C0 but line break and tab, DEL, C1, marks of direction, invisible line ends, half pairs. */
const UNSAFE =
  "[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u061c\\u200b\\u200e\\u200f\\u2028\\u2029" +
  "\\u202a-\\u202e\\u2060\\u2066-\\u2069\\ufeff]|\\p{Cs}";
/** The sequences that this program writes itself: its colours, and the line it writes over. */
const OWN = "\\r?\\u001b\\[(?:K|(?:0|1|2|22|31|32|33)m)";

const unsafe = new RegExp(UNSAFE, "gu");
const ownOrUnsafe = new RegExp(`(${OWN})|${UNSAFE}`, "gu");

/** One line without anything that a terminal acts upon: for a cell, a label, a message. */
export function oneLine(text: string): string {
  return text.replace(/[\r\n\t]+/g, " ").replace(unsafe, "?");
}

/** Whole output for people; the last guard, so that no command can forget it. */
export function terminalSafe(text: string): string {
  return text.replace(ownOrUnsafe, (_found, own: string | undefined) => own ?? "?");
}

/** JSON text, or YAML whose odd scalars are in double quotes: the same data, all of it visible. */
export function escapeData(text: string): string {
  return text.replace(unsafe, (found) => {
    return `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** One line of a log: what a machine sent begins no line of its own and drives no screen. */
export function logText(line: string): string {
  return escapeData(line.replace(/[\r\n\t]+/g, " "));
}

/** Whether the text has anything that `escapeData` would escape. */
export function isUnsafe(text: string): boolean {
  return text.search(unsafe) >= 0;
}
