/**
 * Slurm's hostlists: `n[01-03,7]x[1-2],login` to names, and names to such text. Both are bounded.
 * What Slurm itself reads leniently (`n[1`, `n[1, 2]`) is an error here, and so is what it refuses:
 * text after the last bracket. Pure.
 */

/** As Slurm's own limit of one range. */
export const HOSTLIST_NAMES_MAX = 65_536;
/** As of a name in the DNS: a long one before a range would be there as often as the range says. */
const NAME_CHARS_MAX = 255;
/** Longer numbers are text: they are no longer exact. */
const DIGITS_MAX = 15;

export type Hostlist =
  | { kind: "ok"; names: readonly string[] }
  | { kind: "invalid"; message: string };

const NAME = /^[A-Za-z0-9_.-]+$/;
const RANGE = /^(\d+)(?:-(\d+))?$/;
const SPACE = /^\s$/;

/**
 * Splits at characters outside brackets; an empty part stays. One pass: these lists come from pods
 * and nodes, and a pattern that looks ahead for the bracket takes the cube of the length.
 */
export function splitOutsideBrackets(text: string, isEnd: (one: string) => boolean): string[] {
  const parts: string[] = [];
  let [start, isInside] = [0, false];
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === "[") isInside = true;
    else if (character === "]") isInside = false;
    else if (!isInside && isEnd(character)) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}

const isSeparator = (character: string): boolean => character === "," || SPACE.test(character);

/** Names in the order of the text, as often as it has them; the empty text has none. */
export function expandHostlist(text: string, most = HOSTLIST_NAMES_MAX): Hostlist {
  const names: string[] = [];
  for (const item of splitOutsideBrackets(text, isSeparator)) {
    if (item === "") continue;
    const expanded = expandItem(item, most - names.length);
    if (typeof expanded === "string") return { kind: "invalid", message: expanded };
    for (const name of expanded) names.push(name);
  }
  return { kind: "ok", names };
}

/** The names of one item, the last bracket fastest, or what is wrong. */
function expandItem(item: string, most: number): string[] | string {
  const parts = partsOf(item);
  if (parts === null) return `${show(item)} is no host name with ranges such as n[0-7]`;
  if (shortestOf(parts) > NAME_CHARS_MAX) {
    return `${show(item)}: a name has more than ${NAME_CHARS_MAX} characters`;
  }
  if (item.includes("]") && !item.endsWith("]")) {
    return `${show(item)}: Slurm takes no text after the last bracket`;
  }
  let found = [""];
  for (const part of parts) {
    const ends = part.startsWith("[") ? expandRanges(part.slice(1, -1), most) : [part];
    if (typeof ends === "string") return `${show(item)}: ${ends}`;
    if (found.length * ends.length > most) return tooMany(item);
    found = found.flatMap((start) => ends.map((end) => start + end));
  }
  return found;
}

/** Names and bracketed ranges in turn; `null` if the text is not made of these. */
function partsOf(item: string): string[] | null {
  const parts: string[] = [];
  for (let at = 0; at < item.length;) {
    const open = item.indexOf("[", at);
    const end = open === -1 ? item.length : open;
    const name = item.slice(at, end);
    if (name !== "" && !NAME.test(name)) return null;
    if (name !== "") parts.push(name);
    if (open === -1) return parts;
    const close = item.indexOf("]", open);
    const ranges = item.slice(open, close + 1);
    if (close === -1 || ranges.includes("[", 1)) return null;
    parts.push(ranges);
    at = close + 1;
  }
  return parts;
}

/** The fewest characters that a name of the item has. */
const shortestOf = (parts: readonly string[]): number =>
  parts.reduce((sum, part) => sum + (part.startsWith("[") ? 1 : part.length), 0);

function expandRanges(text: string, most: number): string[] | string {
  const found: string[] = [];
  for (const part of text.split(",")) {
    const match = RANGE.exec(part);
    if (match === null) return `[${show(text)}] is no list of numbers such as 0-3,7`;
    const [, low = "", high = low] = match;
    if (Math.max(low.length, high.length) > DIGITS_MAX) {
      return `a number has more than ${DIGITS_MAX} digits`;
    }
    const count = Number(high) - Number(low) + 1;
    if (count < 1) return `${low}-${high} runs backwards`;
    if (found.length + count > most) return tooMany(part);
    for (let i = 0; i < count; i += 1) {
      found.push(String(Number(low) + i).padStart(low.length, "0"));
    }
  }
  return found;
}

const tooMany = (item: string): string =>
  `${show(item)} makes more than ${HOSTLIST_NAMES_MAX} names in all`;

const show = (text: string): string => (text.length > 80 ? `${text.slice(0, 80)}…` : text);

type Run = { low: string; high: string };

/**
 * The same names in order and once each, with ranges over their last number; expands to exactly
 * them. Throws for what is no name: it would be read as another list.
 */
export function compressHostlist(names: Iterable<string>): string {
  const byPrefix = new Map<string, string[]>();
  const plain: string[] = [];
  for (const name of new Set(names)) {
    if (!NAME.test(name)) throw new Error(`${show(name)} is no NodeName`);
    const digits = new RegExp(`\\d{1,${DIGITS_MAX}}$`).exec(name)?.[0];
    if (digits === undefined) {
      plain.push(name);
      continue;
    }
    const prefix = name.slice(0, -digits.length);
    const numbers = byPrefix.get(prefix);
    if (numbers === undefined) byPrefix.set(prefix, [digits]);
    else numbers.push(digits);
  }
  const ranged = [...byPrefix].map(([prefix, numbers]) => formatRanges(prefix, numbers));
  return [...plain, ...ranged].sort().join(",");
}

function formatRanges(prefix: string, numbers: string[]): string {
  numbers.sort((a, b) => a.length - b.length || Number(a) - Number(b));
  const runs: Run[] = [];
  for (const digits of numbers) {
    const last = runs.at(-1);
    if (last !== undefined && follows(last, digits)) last.high = digits;
    else runs.push({ low: digits, high: digits });
  }
  const [first] = runs;
  if (runs.length === 1 && first !== undefined && first.low === first.high) {
    return prefix + first.low;
  }
  const parts = runs.map(({ low, high }) => (low === high ? low : `${low}-${high}`));
  return `${prefix}[${parts.join(",")}]`;
}

/** `09` is followed by `10`, `9` by `10`, and `01` not by `2`. */
const follows = ({ low, high }: Run, digits: string): boolean =>
  String(Number(high) + 1).padStart(low.length, "0") === digits;
