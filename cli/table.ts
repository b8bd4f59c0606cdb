/**
 * Rows as columns two spaces apart, without box characters, so that `awk` and people read the same
 * table. Only a terminal gets colour and a table made to fit: a pipe gets everything. Pure.
 */
import { oneLine } from "../schema/terminal.ts";
import { GAP, type Layout, layoutOf, widthOf } from "./layout.ts";
import { cutMiddle, wrap } from "./wrap.ts";

/** How the table may look; `columns` is the width to fit into, or `null` for none. */
export type Style = { color: boolean; columns: number | null };

/** Text below a row stands this far in. */
const BELOW = "    ";

/** `head` and every row have the same number of cells. The last line ends with a line break. */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  style: Style,
): string {
  const names = head.map(plain);
  const cells = rows.map((row) => row.map((cell) => plain(cell === "" ? "-" : cell)));
  const { columns } = style;
  const layout = layoutOf(names, cells, columns);
  const bold = (text: string) => (style.color ? `\x1b[1m${text}\x1b[22m` : text);
  const tint = (text: string, cell: string) => (style.color ? paintWord(text, cell) : text);
  const once = layout.once.map((i) => `${names[i]} ${cells[0]?.[i] ?? "-"}`);
  const note = once.length === 0 ? "" : `In every row: ${once.join(", ")}`;
  return [
    ...linesOf(names, layout, columns, bold),
    ...cells.flatMap((row) => linesOf(row, layout, columns, tint)),
    ...(note === "" ? [] : wrap(note, columns ?? note.length)),
  ]
    .map((line) => `${columns === null ? line : cutLine(line, columns)}\n`)
    .join("");
}

/** One row: as many lines as its longest wrapped cell, then what stands below it. */
function linesOf(
  row: readonly string[],
  { widths, below }: Layout,
  columns: number | null,
  paint: (text: string, cell: string) => string,
): string[] {
  const parts = row.map((cell, i) => fitCell(cell, widths[i] ?? 0));
  const height = Math.max(1, ...parts.map((lines) => lines.length));
  const shown = parts.map((_, i) => i).filter((i) => (widths[i] ?? 0) > 0);
  const lines = Array.from({ length: height }, (_, at) =>
    shown
      .map((i, place) => {
        const text = parts[i]?.[at] ?? "";
        const pad = place === shown.length - 1 ? 0 : (widths[i] ?? 0) - widthOf(text);
        return paint(text, row[i] ?? "") + " ".repeat(Math.max(0, pad));
      })
      .join(GAP)
      .trimEnd(),
  );
  const room = Math.max(1, (columns ?? 0) - BELOW.length);
  const under = below
    .filter((i) => row[i] !== "-")
    .flatMap((i) => wrap(row[i] ?? "", room).map((text) => BELOW + paint(text, row[i] ?? "")));
  return [...lines, ...under];
}

function fitCell(cell: string, width: number): string[] {
  if (width === 0) return [];
  if (widthOf(cell) <= width) return [cell];
  return wrap(cell, width).map((line) => cutMiddle(line, width));
}

/** The last resort of a terminal too narrow for the table: a row never runs into the next line. */
function cutLine(line: string, columns: number): string {
  if (widthOf(line) <= columns) return line;
  return `${Bun.sliceAnsi(line, 0, columns - 1)}…`;
}

/** `Label:  value` lines, the values in one column. */
export function formatLabels(pairs: readonly (readonly [string, string])[], style: Style): string {
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
