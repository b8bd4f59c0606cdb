/**
 * Formats rows as columns two spaces apart, without box characters, so that `awk` can read them.
 * Only a terminal gets colour and a fitted width; a pipe gets whole cells. Pure.
 */
import { oneLine } from "../schema/terminal.ts";
import { GAP, type Layout, layoutOf, widthOf } from "./layout.ts";
import { cutMiddle, wrap } from "./wrap.ts";

/** `columns` is the width to fit into; `null` = no limit. */
export type Style = { color: boolean; columns: number | null };

/** Indentation of text below a row. */
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

/** One row: the lines of its wrapped cells, then the columns below it. */
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

/** Last resort on a very narrow terminal: a row never wraps. */
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
 * Text without control characters: an escape sequence in a reported hostname must not reach the
 * terminal. A field missing from another version's answer is empty.
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

/** Colours a cell that is exactly one of these words. */
function paintWord(text: string, cell: string): string {
  const color = Object.hasOwn(COLOR, cell) ? COLOR[cell] : undefined;
  return color === undefined ? text : `\x1b[${color}m${text}\x1b[0m`;
}
