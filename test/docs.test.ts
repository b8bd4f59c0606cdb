/** Every link of the Markdown pages leads to a file of this repository, or to a public page. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "../build/product.ts";

const pages = Bun.spawnSync(["git", "ls-files", "*.md"], { cwd: ROOT })
  .stdout.toString()
  .split("\n")
  .filter((path) => path !== "");

/** Targets of `[text](target)`, without those that stand in code. */
function linksOf(text: string): string[] {
  const prose = text.replace(/^```[\s\S]*?^```/gm, "").replace(/`[^`\n]*`/g, "");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
}

/** An anchor as GitHub makes it of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/ /g, "-");

function isThere(page: string, target: string): boolean {
  if (/^https:\/\//.test(target)) return true;
  const [path = "", anchor] = target.split("#");
  const file = path === "" ? page : join(dirname(page), path);
  if (!existsSync(join(ROOT, file))) return false;
  if (anchor === undefined) return true;
  const headings = readFileSync(join(ROOT, file), "utf8").matchAll(/^#+ (.*)$/gm);
  return [...headings].some(([, heading = ""]) => anchorOf(heading) === anchor);
}

test("there are pages", () => {
  expect(pages).toContain("README.md");
  expect(pages.length).toBeGreaterThan(10);
});

test.each(pages)("every link of %s leads somewhere", (page) => {
  const links = linksOf(readFileSync(join(ROOT, page), "utf8"));
  expect(links.filter((target) => !isThere(page, target))).toEqual([]);
});

test("the README is for a newcomer: at most 90 lines", () => {
  expect(readFileSync(join(ROOT, "README.md"), "utf8").split("\n").length).toBeLessThanOrEqual(90);
});
