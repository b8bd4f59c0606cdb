/**
 * Fits a table to a terminal: the width of each column, and which columns leave the row. Sentences
 * are wrapped and names cut in the middle; states, times and numbers are cut last. Pure.
 */
export const GAP = "  ";
/** Sentences that get a narrower column are printed below the row. */
const PROSE_MIN = 20;
/** A name cut to this width still shows its start and end. */
const NAME_GOOD = 12;
const NAME_MIN = 6;
/** Cells with spaces up to here are ages and amounts (`12s ago`), not sentences. */
const PHRASE_MAX = 16;

export type Layout = {
  /** Width of each column; 0 = not in the row. */
  widths: readonly number[];
  /** Columns printed below the row. */
  below: readonly number[];
  /** Columns with one value in all rows, printed once after the table. */
  once: readonly number[];
};

type Kind = "prose" | "name" | "word";
type Column = { kind: Kind; header: number; full: number; same: boolean; empty: boolean };

/** `rows` have as many cells as `head`; `columns` `null` = no limit. */
export function layoutOf(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  columns: number | null,
): Layout {
  const full = head.map((name, i) => widest([name, ...rows.map((row) => row[i] ?? "")]));
  const whole: Layout = { widths: full, below: [], once: [] };
  if (columns === null || lineOf(full) <= columns) return whole;
  const about = head.map((name, i) =>
    columnOf(
      name,
      rows.map((row) => row[i] ?? ""),
    ),
  );
  const widths = about.map(({ header, full: cells }) => Math.max(header, cells));
  const prose = indexes(about, ({ kind }) => kind === "prose");
  const beside = shareRest(widths, prose, columns);
  if (beside !== null) return { widths: beside, below: [], once: [] };
  for (const i of prose) widths[i] = 0;
  const once: number[] = [];
  for (const i of movable(about)) {
    const good = widths.map((width, at) => {
      return about[at]?.kind === "name" ? Math.min(width, NAME_GOOD) : width;
    });
    if (lineOf(good) <= columns) break;
    widths[i] = 0;
    once.push(i);
  }
  const fitted = unbreak(shrink(widths, about, columns), head, columns);
  return { widths: fitted, below: prose, once: once.sort((a, b) => a - b) };
}

/** Uses remaining room to keep headings on one line, from the first column on. */
function unbreak(widths: readonly number[], head: readonly string[], columns: number): number[] {
  const fitted = [...widths];
  for (const [i, name] of head.entries()) {
    const more = widthOf(name) - (fitted[i] ?? 0);
    const shown = (fitted[i] ?? 0) > 0;
    if (shown && more > 0 && lineOf(fitted) + more <= columns) fitted[i] = widthOf(name);
  }
  return fitted;
}

/** Shares the remaining room among the sentence columns; `null` if it is too little. */
function shareRest(
  widths: readonly number[],
  prose: readonly number[],
  columns: number,
): number[] | null {
  if (prose.length === 0) return null;
  const without = widths.map((width, i) => (prose.includes(i) ? 0 : width));
  let left = columns - lineOf(without) - GAP.length * prose.length;
  if (left < PROSE_MIN * prose.length) return null;
  const ordered = [...prose].sort((a, b) => (widths[a] ?? 0) - (widths[b] ?? 0));
  ordered.forEach((i, done) => {
    without[i] = Math.min(widths[i] ?? 0, Math.floor(left / (ordered.length - done)));
    left -= without[i] ?? 0;
  });
  return without;
}

/** Columns that may be printed once: not the first, which identifies the row; empty ones first. */
function movable(about: readonly Column[]): number[] {
  const same = indexes(about, (one) => one.same && one.kind !== "prose").filter((i) => i > 0);
  return [...same].sort((a, b) => Number(about[b]?.empty) - Number(about[a]?.empty));
}

/** Narrows the widest name until the line fits, then the widest column. */
function shrink(widths: readonly number[], about: readonly Column[], columns: number): number[] {
  const fitted = [...widths];
  const kinds: readonly (readonly Kind[])[] = [["name"], ["name", "word"]];
  for (const allowed of kinds) {
    for (;;) {
      const can = indexes(about, ({ kind }) => allowed.includes(kind)).filter(
        (i) => (fitted[i] ?? 0) > NAME_MIN,
      );
      const at = can.sort((a, b) => (fitted[b] ?? 0) - (fitted[a] ?? 0))[0];
      if (lineOf(fitted) <= columns) return fitted;
      if (at === undefined) break;
      fitted[at] = (fitted[at] ?? 0) - 1;
    }
  }
  return fitted;
}

function columnOf(name: string, cells: readonly string[]): Column {
  const [first = ""] = cells;
  return {
    kind: kindOf(cells),
    header: widest(name.split(" ")),
    full: widest(cells),
    same: cells.every((cell) => cell === first),
    empty: first === "-",
  };
}

function kindOf(cells: readonly string[]): Kind {
  if (cells.some((cell) => cell.includes(" ") && widthOf(cell) > PHRASE_MAX)) return "prose";
  const word = /^(?:[A-Za-z]+(?:[._ ][A-Za-z]+){0,2}|[\d.,%$?]+|\d{4}-\d\d-\d\dT[\d:.]+Z|-)$/;
  return cells.every((cell) => cell.includes(" ") || word.test(cell)) ? "word" : "name";
}

function lineOf(widths: readonly number[]): number {
  const shown = widths.filter((width) => width > 0);
  return shown.reduce((sum, width) => sum + width, GAP.length * Math.max(0, shown.length - 1));
}

function indexes<T>(list: readonly T[], is: (one: T) => boolean): number[] {
  return list.flatMap((one, i) => (is(one) ? [i] : []));
}

function widest(texts: readonly string[]): number {
  return texts.reduce((most, text) => Math.max(most, widthOf(text)), 0);
}

export function widthOf(text: string): number {
  return Bun.stringWidth(text);
}
