/** Takes messages of the server, which may be whole pages, apart in one pass: pure. */

/**
 * The texts between marks that follow each other, and at last what is behind them; `null`: the text
 * has no such place. A text ends at the first character of its next mark.
 */
export function textsBetween(text: string, first: string, ...marks: string[]): string[] | null {
  for (let at = text.indexOf(first); at >= 0; at = text.indexOf(first, at + first.length)) {
    const found = textsBehind(text, at + first.length, marks);
    if (found !== null) return found;
  }
  return null;
}

function textsBehind(text: string, start: number, marks: readonly string[]): string[] | null {
  const found: string[] = [];
  let from = start;
  for (const mark of marks) {
    const end = text.indexOf(mark.charAt(0), from);
    if (end < 0 || !text.startsWith(mark, end)) return null;
    found.push(text.slice(from, end));
    from = end + mark.length;
  }
  return [...found, text.slice(from)];
}
