/**
 * Rows as columns two spaces apart, without box characters, so that `awk` and people read the same
 * table. Only a terminal gets colour and shortened cells: a pipe gets everything. Pure.
 */

import { oneLine } from "../schema/terminal.ts";

/** How the table may look; `columns` is the width to fit into, or `null` for none. */
export type Style = { color: boolean; columns: number | null };

const GAP = "  ";
/** A cell is never cut below this: half an id still says which node it is. */
const CELL_MIN = 8;

/** `head` and every row have the same number of cells. The last line ends with a line break. */
export function printTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  style: Style,
): string {
  const cells = rows.map((row) => row.map((cell) => plain(cell === "" ? "-" : cell)));
  const widths = fit(
    head.map((name, i) => Math.max(widthOf(name), ...cells.map((row) => widthOf(row[i] ?? "")))),
    style.columns,
  );
  const line = (row: readonly string[], paint: (text: string, cell: string) => string) =>
    row
      .map((cell, i) => {
        const shown = cut(cell, widths[i] ?? 0);
        const pad = i === row.length - 1 ? 0 : (widths[i] ?? 0) - widthOf(shown);
        return paint(shown, cell) + " ".repeat(Math.max(0, pad));
      })
      .join(GAP)
      .trimEnd();
  const bold = (text: string) => (style.color ? `\x1b[1m${text}\x1b[22m` : text);
  const tint = (text: string, cell: string) => (style.color ? paintWord(text, cell) : text);
  return [line(head, bold), ...cells.map((row) => line(row, tint))].join("\n") + "\n";
}

/** `Label:  value` lines, the values in one column. */
export function printLabels(pairs: readonly (readonly [string, string])[], style: Style): string {
  const named = pairs.map(([label, value]): [string, string] => [plain(label), value]);
  const width = Math.max(0, ...named.map(([label]) => label.length + 1));
  return named
    .map(([label, value]) => {
      const shown = plain(value === "" ? "-" : value);
      const text = style.color ? paintWord(shown, shown) : shown;
      return `${`${label}:`.padEnd(width)}  ${text}\n`;
    })
    .join("");
}

/**
 * Text as it may reach a terminal. What nodes report about themselves is not ours: an escape
 * sequence in a hostname or a process name must not drive the operator's screen. A field that a
 * control plane of another age left out is empty, and does not hide the others.
 */
export function plain(text: string | null | undefined): string {
  return oneLine(String(text ?? ""));
}

const COLOR: Readonly<Record<string, string>> = {
  Active: "32",
  Healthy: "32",
  ok: "32",
  Cordoned: "33",
  Draining: "33",
  Degraded: "33",
  warn: "33",
  degraded: "33",
  Unhealthy: "31",
  Terminated: "31",
  unhealthy: "31",
  fail: "31",
  Unknown: "2",
};

/** Colours the words that mean something, wherever they stand alone. */
function paintWord(text: string, cell: string): string {
  const color = Object.hasOwn(COLOR, cell) ? COLOR[cell] : undefined;
  return color === undefined ? text : `\x1b[${color}m${text}\x1b[0m`;
}

/** Takes from the widest column until the line fits, or until nothing more can give. */
function fit(widths: readonly number[], columns: number | null): number[] {
  const fitted = [...widths];
  if (columns === null) return fitted;
  const gaps = GAP.length * (fitted.length - 1);
  for (;;) {
    const over = fitted.reduce((sum, width) => sum + width, gaps) - columns;
    const widest = Math.max(...fitted);
    if (over <= 0 || widest <= CELL_MIN) return fitted;
    const at = fitted.indexOf(widest);
    const second = Math.max(CELL_MIN, ...fitted.filter((_, i) => i !== at));
    fitted[at] = Math.max(CELL_MIN, Math.min(widest - 1, Math.max(widest - over, second)));
  }
}

function widthOf(text: string): number {
  return Bun.stringWidth(text);
}

/** Characters looked at for one column: of a long text the end is never tried, letter by letter. */
const CHARS_A_COLUMN = 8;

function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let short = [...text].slice(0, CHARS_A_COLUMN * width).join("");
  while (short !== "" && widthOf(short) > width - 1) short = [...short].slice(0, -1).join("");
  return `${short}…`;
}
