/**
 * `docs/decisions/README.md`: every decision that holds, by subject, with a link to its reason.
 * Made from the dated pages beside it: a point of a list begins with the decision in bold, a row
 * of a table has it in its second cell.
 *
 * Adapter: reads the pages.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { formatHead, readProse } from "./markdown.ts";

const FOLDER = "docs/decisions";
/** What surprised somebody is no decision. */
const OTHER = ["Gotchas"];

type Subject = { title: string; link: string; decisions: string[] };

export function formatDecisions(): string {
  const pages = readdirSync(join(ROOT, FOLDER)).filter((name) => /^\d{4}-.*\.md$/.test(name));
  const subjects = pages.sort().flatMap((name) => {
    return subjectsOf(name, readFileSync(join(ROOT, FOLDER, name), "utf8"));
  });
  const text = subjects.map(({ title, link, decisions }) => {
    return `\n## [${title}](${link})\n\n${decisions.map((one) => `- ${one}\n`).join("")}`;
  });
  const head = formatHead("Decisions that hold", "the dated pages of this folder");
  return `${head}${readProse("decisions").trimEnd()}\n${text.join("")}`;
}

export function subjectsOf(name: string, page: string): Subject[] {
  const subjects: Subject[] = [];
  for (const line of page.split("\n")) {
    const [, level, heading = ""] = /^(##?) (.+)$/.exec(line) ?? [];
    if (level === "#") subjects.push({ title: heading, link: name, decisions: [] });
    if (level === "##") {
      subjects.push({ title: heading, link: `${name}#${anchorOf(heading)}`, decisions: [] });
    }
    const decision = decisionOf(line);
    if (decision !== null) subjects.at(-1)?.decisions.push(decision);
  }
  return subjects.filter(({ decisions, title }) => decisions.length > 0 && !OTHER.includes(title));
}

/** The decision without its reason; `null` for a line that has none. */
function decisionOf(line: string): string | null {
  const bold = /^- \*\*(.+?)\*\*/.exec(line)?.[1];
  if (bold !== undefined) return bold.replace(/[.:,]$/, "");
  const point = /^- (.+?)(?:[.:;](?: |$)|$)/.exec(line)?.[1];
  if (point !== undefined) return point;
  const [, question, decision] = /^\| (.+?) \| (.+?) \| .+ \|$/.exec(line) ?? [];
  if (question === undefined || decision === undefined || question === "question") return null;
  return `${question}: ${decision.split(/; |: /)[0]}`;
}

/** As GitHub makes it of a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(" ", "-");
}
