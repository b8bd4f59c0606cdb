/**
 * Citations: what a text refers to must be in this repository. A page must exist and have the
 * section; a law or an invariant must be listed on its page; other numbered lists are refused.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { lineAt } from "./source.ts";

/** Lists that are cited by number, with the page that numbers them. */
const NUMBERED: readonly { pattern: RegExp; page: string; entry: (id: string) => RegExp }[] = [
  {
    pattern: /\blaws? +(\d+)\b/gi,
    page: "docs/architecture.md",
    entry: (id) => new RegExp(`^${id}\\. `, "m"),
  },
  {
    pattern: /\binvariants? +([A-Z]\d+)\b/gi,
    page: "docs/reference/invariants.md",
    entry: (id) => new RegExp(`^\\| ${id} \\|`, "m"),
  },
];

/** Numbers of lists that no page has. */
const UNLISTED: readonly RegExp[] = [
  /\bpromises? +[A-Z]?\d+/gi,
  /\bdecisions? +\d{1,2}\b/gi,
  /\btargets\.md\b/g,
  // A section of a page is cited by its anchor; `§` is for public documents (RFC, POSIX, SMBIOS).
  /\.md`? +§/g,
  /\((?:N|SF)\d+[,)]/g,
];

/** A page by its path: `docs/x.md`, `deploy/README.md#install`, and an unknown `folder/x.md`. */
const PAGE = /(?<![\w/.:@-])((?:\.{0,2}\/)?(?:[\w-]+\/)*[\w-]+\.md)(?:#([\w-]+))?/g;

/** Pages that tests write, or that belong to other projects or to the user. */
const FOREIGN = /^(?:\.\.?\/)*(?:notes|guide|page|a|b|x|y|other|link|here|\w)\.md$/;

const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

/** An anchor as GitHub makes it of a heading. */
export const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/ /g, "-");

/** Whether a page, and its section if one is named, exists. */
export function resolves(from: string, page: string, anchor?: string): boolean {
  const places = [page, join(dirname(from), page), join("docs", page)];
  const file = places.find((place) => existsSync(join(ROOT, place)));
  if (file === undefined) return false;
  if (anchor === undefined) return true;
  const headings = read(file).matchAll(/^#+ (.*)$/gm);
  return [...headings].some(([, heading = ""]) => anchorOf(heading) === anchor);
}

/** Comments as if they were not wrapped, each character still at its index. */
const unwrap = (text: string): string =>
  text.replace(/\n[ \t]*(?:\*(?!\/)|\/\/|#(?!#))?/g, (gap) => " ".repeat(gap.length));

/** Every citation in `source` that leads nowhere, as `path:line: what`. */
export function judgeCitations(path: string, source: string): string[] {
  const text = unwrap(source);
  const out: string[] = [];
  const bad = (index: number, what: string): void => {
    out.push(`${path}:${lineAt(source, index)}: ${what}`);
  };
  for (const { 0: whole, 1: page = "", 2: anchor, index } of text.matchAll(PAGE)) {
    if (FOREIGN.test(page) || resolves(path, page, anchor)) continue;
    bad(index, `${whole} is not in this repository`);
  }
  for (const { pattern, page, entry } of NUMBERED) {
    for (const { 0: whole, 1: id = "", index } of text.matchAll(pattern)) {
      if (!entry(id).test(read(page))) bad(index, `${page} has no ${whole}`);
    }
  }
  for (const pattern of UNLISTED) {
    for (const { 0: whole, index } of text.matchAll(pattern)) bad(index, `no page has ${whole}`);
  }
  return out;
}
