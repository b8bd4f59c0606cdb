/**
 * The house rules over the whole tree, each failure as `file:line: rule: what`. oxlint and knip tell
 * most of them (`test/tidy/config/oxlint.config.ts`, `test/tidy/config/knip.json`), oxfmt owns the
 * layout (`.oxfmtrc.json`); our own are pure functions with tests in `test/tidy/`. One that fires on good code is fixed there, with a test, rather than
 * worked around here.
 */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { judgeCycles, judgeImports } from "./tidy/import.ts";
import { judgeReading, READERS } from "./tidy/read-text.ts";
import { judgeBarrel, judgeClock, judgeHeader } from "./tidy/rule.ts";
import { judgeNames, judgePorts, judgeSilence } from "./tidy/rule.ts";
import { formatViolation, parseSource } from "./tidy/source.ts";
import type { Source, Violation } from "./tidy/source.ts";
import { findUnformatted, findUnused, lint } from "./tidy/tool.ts";
import { judgeSentences, SPEAKERS } from "./tidy/sentence.ts";

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
  // A generated client is as its generator writes it.
  const others = /(?:^|\/)(?:node_modules|generated)\//;
  const ours = [...paths, ...atTop].filter((path) => !others.test(path));
  return Promise.all(ours.sort().map(read));
}

const sources = await readTree();

const RULE_FILE = ["--config", "test/tidy/config/oxlint.config.ts"];
const LINT = [...RULE_FILE, "--ignore-pattern=test/cli/generated"];
const UNUSED = ["--config", "test/tidy/config/knip.json"];
/** A type that only tests name costs nothing. */
const TESTED = [...UNUSED, "--production", "--exclude", "types"];

const RULES: readonly [string, () => string[]][] = [
  ["every source is formatted: `npm run format`", () => findUnformatted(ROOT)],
  ["nothing banned is used", () => lint(ROOT, LINT)],
  ["no file, export or dependency is unused", () => findUnused(ROOT, UNUSED)],
  ["nothing of the product is used by tests only", () => findUnused(ROOT, TESTED)],
  ["imports follow the arrows between rooms", own(judgeImports)],
  ["no rooms import each other in a circle", () => judgeCycles(sources).map(formatViolation)],
  ["only the edge reads the clock", own(judgeClock)],
  ["no rule is switched off in place", own(judgeSilence)],
  ["no method of a port is optional", own(judgePorts)],
  ["text for people is not read", own((source) => judgeReading(source, READERS))],
  ["every file that may read text does", findIdleReaders],
  ["what decides says nothing", own((source) => judgeSentences(source, SPEAKERS))],
  ["names are kebab-case and say something", own(judgeNames)],
  ["nothing is re-exported wholesale", own(judgeBarrel)],
  ["every source begins with its promise", own(judgeHeader)],
];

function findIdleReaders(): string[] {
  const reads = (path: string) =>
    sources.some((source) => source.path === path && judgeReading(source, {}).length > 0);
  return Object.keys(READERS).filter((path) => !reads(path));
}

function own(judge: (source: Source) => Violation[]): () => string[] {
  return () => sources.flatMap(judge).map(formatViolation);
}

test("readTree() finds the sources of every room", () => {
  const paths = sources.map(({ path }) => path);
  expect(paths).toContain("schema/report.ts");
  expect(paths).toContain("test/tidy.test.ts");
  expect(paths.some((path) => path.includes("node_modules"))).toBe(false);
});

test.each(RULES)("%s", (_name, judge) => {
  const violations = judge();
  if (violations.length > 0) {
    throw new Error(`${violations.length} broken:\n${violations.join("\n")}`);
  }
});
