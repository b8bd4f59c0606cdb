/**
 * The blocks of a page that name a file: new files, and changes of files. A change is a diff
 * without line numbers, in which each hunk must fit at exactly one place, so that a page that has
 * become stale fails instead of changing something else. Pure.
 */

export type Change = {
  /** Line of the opening fence, from 1. */
  line: number;
  path: string;
  kind: "new" | "diff";
  text: string;
};

const FENCE = /^```(ts|yaml|diff) file=(\S+)$/;

export function changesOf(page: string): Change[] {
  const changes: Change[] = [];
  let open: (Change & { lines: string[] }) | null = null;
  for (const [index, line] of page.split("\n").entries()) {
    if (open === null) {
      const [, language, path] = FENCE.exec(line) ?? [];
      if (path === undefined) continue;
      const kind = language === "diff" ? "diff" : "new";
      open = { line: index + 1, path, kind, text: "", lines: [] };
    } else if (line === "```") {
      const { lines, ...change } = open;
      changes.push({ ...change, text: `${lines.join("\n")}\n` });
      open = null;
    } else open.lines.push(line);
  }
  return changes;
}

/** `before` is `null` for a file that does not exist. Throws with the line of the page. */
export function applyChange(change: Change, before: string | null): string {
  const { kind, line, path, text } = change;
  const where = `line ${line}, ${path}`;
  if (kind === "new") {
    if (before !== null) throw new Error(`${where}: the file exists already`);
    return text;
  }
  if (before === null) throw new Error(`${where}: there is no such file`);
  return text.split(/^@@\n/m).reduce((content, hunk) => {
    const lines = hunk.split("\n").slice(0, -1);
    const side = (other: string): string =>
      lines
        .filter((one) => !one.startsWith(other))
        .map((one) => `${one.slice(1)}\n`)
        .join("");
    const from = side("+");
    const places = placesOf(content, from);
    const [at = 0] = places;
    if (places.length !== 1) throw new Error(`${where}: fits at ${places.length} places`);
    return content.slice(0, at) + side("-") + content.slice(at + from.length);
  }, before);
}

/** Beginnings of lines at which `lines` stand. */
function placesOf(content: string, lines: string): number[] {
  const places = content.startsWith(lines) ? [0] : [];
  const next = (from: number): number => content.indexOf(`\n${lines}`, from);
  for (let at = next(0); at >= 0; at = next(at + 1)) places.push(at + 1);
  return places;
}
