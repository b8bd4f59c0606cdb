/**
 * The command blocks of a page: every fence that is marked `sh`. A block that no test can run says
 * so on the page, in the line before it: `> Not run by the tests: WHY.` Pure.
 */

export type Block = {
  /** Line of the opening fence, from 1. */
  line: number;
  text: string;
  /** Why it is not run; `null` = it is. */
  notRun: string | null;
};

const NOT_RUN = /^> Not run by the tests: (.+)$/;

export function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  let open: (Omit<Block, "text"> & { lines: string[]; isShell: boolean }) | null = null;
  let before = "";
  for (const [index, line] of page.split("\n").entries()) {
    if (open === null && line.startsWith("```")) {
      const notRun = NOT_RUN.exec(before)?.[1] ?? null;
      open = { line: index + 1, lines: [], isShell: line === "```sh", notRun };
    } else if (open !== null && line === "```") {
      const { isShell, lines, notRun } = open;
      if (isShell) blocks.push({ line: open.line, text: `${lines.join("\n")}\n`, notRun });
      open = null;
    } else if (open !== null) open.lines.push(line);
    else if (line.trim() !== "") before = line;
  }
  return blocks;
}

/** Blocks under the heading that begins with `title`, up to the next heading of its level. */
export function sectionOf(page: string, title: string): string {
  const from = page.indexOf(`\n${title}`);
  if (from < 0) throw new Error(`no heading ${title}`);
  const level = title.slice(0, title.indexOf(" ") + 1);
  const to = page.indexOf(`\n${level}`, from + 1);
  return page.slice(from, to < 0 ? undefined : to);
}

/** A call of `navarch` or `navarch-node` in a block: its words, split as a shell splits them. */
export function callsOf(text: string, program: string): string[][] {
  const joined = text.replace(/\\\n\s*/g, " ").replace(/(^|\s)#.*$/gm, "$1");
  const before = `(?:^|[|&;(!]|\\b(?:do|if|until|while|sudo))`;
  const start = new RegExp(`${before}\\s*(?:dist/)?${program}(?=\\s)`, "gm");
  return [...joined.matchAll(start)].map((match) => {
    const rest = joined.slice(match.index + match[0].length);
    return wordsOf(rest);
  });
}

/** Words up to the end of the command: a pipe, a redirection, a closing bracket, a new line. */
function wordsOf(text: string): string[] {
  const words: string[] = [];
  const pattern = /[^\S\n]*("(?:\$\([^)]*\)|[^"])*"|'[^']*'|[^\s"'|&;()<>]+)/y;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    words.push((match[1] ?? "").replace(/^["']|["']$/g, ""));
  }
  return words;
}
