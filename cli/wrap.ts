/**
 * Fits text to a width: sentences are wrapped, names are cut in the middle, since they differ at
 * their ends. Pure.
 */

/** Lines of at most `width`; a longer word gets a line of its own. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  let used = 0;
  for (const word of text.split(" ")) {
    const size = Bun.stringWidth(word);
    if (lines.length + used === 0 || used + 1 + size <= width) {
      line = used === 0 ? word : `${line} ${word}`;
      used += size + (used === 0 ? 0 : 1);
    } else {
      lines.push(line);
      line = word;
      used = size;
    }
  }
  return [...lines, line];
}

/** Start of a line before its text: indentation, a label, the time of an event. */
const LEAD = /^ *(?:\d{4}-\d\d-\d\dT[\d:.]+Z +|[A-Z][\w$/ -]{0,24}: +)?/;
const LEAD_MAX = 24;
const INDENT = 2;

/** Folds lines that are too wide, with the continuation indented. */
export function foldLines(text: string, columns: number): string {
  return text
    .split("\n")
    .map((line) => (Bun.stringWidth(line) <= columns ? line : foldLine(line, columns)))
    .join("\n");
}

function foldLine(line: string, columns: number): string {
  const lead = LEAD.exec(line)?.[0] ?? "";
  const bare = / */.exec(line)?.[0] ?? "";
  const under = lead.length > bare.length && lead.length <= LEAD_MAX ? lead.length : bare.length;
  const gap = under === lead.length && lead !== bare ? under : bare.length + INDENT;
  const [first = "", ...rest] = wrap(line.slice(lead.length), Math.max(1, columns - lead.length));
  const more = rest.length === 0 ? [] : wrap(rest.join(" "), Math.max(1, columns - gap));
  return [`${lead}${first}`, ...more.map((part) => " ".repeat(gap) + part)].join("\n");
}

/** Characters examined for one column; the middle of a long text is skipped. */
const CHARS_A_COLUMN = 8;

/** `gpu-node-us-east-1-0042` → `gpu-n…-0042`. */
export function cutMiddle(text: string, width: number): string {
  if (Bun.stringWidth(text) <= width) return text;
  const chars = [...text];
  const near = CHARS_A_COLUMN * width;
  const tail = take(chars.slice(-near).reverse(), Math.floor((width - 1) / 2)).reverse();
  const head = take(chars.slice(0, near), width - 1 - Bun.stringWidth(tail.join("")));
  return `${head.join("")}…${tail.join("")}`;
}

function take(chars: readonly string[], width: number): string[] {
  const taken: string[] = [];
  for (const char of chars) {
    if (Bun.stringWidth([...taken, char].join("")) > width) break;
    taken.push(char);
  }
  return taken;
}
