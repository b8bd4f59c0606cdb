/**
 * The house rules over the whole tree, each failure as `file:line: rule: what`. The rules are pure
 * functions with tests of their own in `test/tidy/`; one that fires on good code is fixed there,
 * with a test, rather than worked around here.
 */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { judgeBans } from "./tidy/ban.ts";
import { judgeDead } from "./tidy/dead.ts";
import { judgeCycles, judgeImports } from "./tidy/import.ts";
import { judgeBarrel, judgeHeader, judgeNames } from "./tidy/name.ts";
import { judgeColumns, judgeSizes } from "./tidy/size.ts";
import { parseSource, printViolation } from "./tidy/source.ts";
import type { Source, Violation } from "./tidy/source.ts";

const ROOT = dirname(import.meta.dir);

/** Folders at the top that hold no source of ours. */
const OUTSIDE = new Set(["node_modules", "dist", "coverage"]);

async function readTree(): Promise<Source[]> {
  const rooms = readdirSync(ROOT, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
    .map((entry) => entry.name)
    .filter((name) => !OUTSIDE.has(name));
  const glob = new Bun.Glob("**/*.{ts,tsx}");
  const paths = rooms.flatMap((room) =>
    [...glob.scanSync({ cwd: join(ROOT, room) })].map((path) => join(room, path)),
  );
  const atTop = [...new Bun.Glob("*.{ts,tsx}").scanSync({ cwd: ROOT })];
  const read = async (path: string) => parseSource(path, await Bun.file(join(ROOT, path)).text());
  const ours = [...paths, ...atTop].filter((path) => !path.includes("node_modules/"));
  return Promise.all(ours.sort().map(read));
}

async function readScripts(): Promise<string[]> {
  const manifest: { scripts: Record<string, string> } = await Bun.file(
    join(ROOT, "package.json"),
  ).json();
  return Object.values(manifest.scripts);
}

const sources = await readTree();
const scripts = await readScripts();

const RULES: readonly [string, () => Violation[]][] = [
  ["imports follow the arrows between rooms", () => sources.flatMap(judgeImports)],
  ["no rooms import each other in a circle", () => judgeCycles(sources)],
  ["nothing banned is used", () => sources.flatMap(judgeBans)],
  ["files and functions are short enough", () => sources.flatMap(judgeSizes)],
  ["lines are short enough", () => sources.flatMap(judgeColumns)],
  ["names are kebab-case and say something", () => sources.flatMap(judgeNames)],
  ["nothing is re-exported wholesale", () => sources.flatMap(judgeBarrel)],
  ["every source begins with its promise", () => sources.flatMap(judgeHeader)],
  ["no file is dead", () => judgeDead(sources, scripts)],
];

test("readTree() finds the sources of every room", () => {
  const paths = sources.map(({ path }) => path);
  expect(paths).toContain("schema/report.ts");
  expect(paths).toContain("test/tidy.test.ts");
  expect(paths.some((path) => path.includes("node_modules"))).toBe(false);
});

test.each(RULES)("%s", (_name, judge) => {
  const violations = judge().map(printViolation);
  if (violations.length > 0) {
    throw new Error(`${violations.length} broken:\n${violations.join("\n")}`);
  }
});
