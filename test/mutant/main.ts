/**
 * `npm run once -- mutants -- --sample N --seed N [--rooms decide,fold] [--report FILE]
 * [--tests TEXT]`: with `--tests` only test files whose path contains the text are asked. Builds N
 * generated faults into a copy of this tree, one at a time, and counts those that a test notices.
 * Those that the compiler refuses, and those known to change nothing (`equivalent.ts`), are no
 * faults. Exit 0 if at least 85 % of the rest are noticed and the lower end of the 95 % interval is
 * at least 82 %.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { copyTree, listTree } from "../scratch-copy.ts";
import { findRefused } from "./compile.ts";
import { EQUIVALENT } from "./equivalent.ts";
import { type Candidate, candidatesOf, draw, keyOf, lowerBound, oneLine } from "./sample.ts";
import { importsOf, isAsked, isSource, reachOf, ROOMS } from "./select.ts";
import { build, type Fate, type Item, measure, tryAll } from "./trial.ts";

const SHARE_MIN = 0.85;
const BOUND_MIN = 0.82;
const NAMES = Object.keys(ROOMS);
const OWN = ["slurm", "agentpool"];

const { values } = parseArgs({
  options: {
    sample: { type: "string", default: "800" },
    seed: { type: "string", default: "20261122" },
    // Those of Slurm and AgentPool have proofs of their own, `mutants-slurm`, `mutants-agentpool`.
    rooms: { type: "string", default: NAMES.filter((name) => !OWN.includes(name)).join(",") },
    workers: { type: "string", default: "2" },
    tests: { type: "string", default: "" },
    report: { type: "string" },
    figures: { type: "string" },
  },
});

const wanted = values.rooms.split(",").map((name) => {
  const pattern = ROOMS[name];
  if (pattern === undefined)
    throw new Error(`no room ${name}: expected one of ${NAMES.join(", ")}`);
  return pattern;
});
const roomOf = (file: string): string =>
  Object.entries(ROOMS).find(([, pattern]) => pattern.test(file))?.[0] ?? "";

const copy = copyTree("navarch-mutants-");
const read = (path: string) => readFileSync(join(copy, path), "utf8");
const lineTextOf = ({ file, line }: Candidate) => sources.get(file)?.split("\n")[line - 1] ?? "";

const tree = listTree().filter((path) => path.endsWith(".ts"));
const sources = new Map(
  tree
    .filter((path) => isSource(path) && wanted.some((pattern) => pattern.test(path)))
    .map((path) => [path, read(path)]),
);
const all = [...sources].flatMap(([file, source]) => candidatesOf(file, source));
const known = new Set(EQUIVALENT.map(({ key }) => key));
const drawn = draw(all, Number(values.sample), Number(values.seed));
const equivalent = drawn.filter((item) => known.has(keyOf(item, lineTextOf(item))));
const asked = drawn
  .filter((item) => !equivalent.includes(item))
  .map((item, index): Item => ({ ...item, id: index + 1 }));
console.error(`${all.length} mutants in ${sources.size} files; ${drawn.length} drawn`);

const imports = importsOf(tree, read);
const touched = new Set(asked.map(({ file }) => file));
const tests = tree
  .filter((path) => isAsked(path) && path.includes(values.tests))
  .filter((path) => [...reachOf(path, imports)].some((target) => touched.has(target)));

type Row = { item: Item; fate: Fate };
const rows: Row[] = [];

function lineOf({ item, fate }: Row): string {
  const change = `${oneLine(item.before)} → ${oneLine(item.replacement)}`;
  return `${fate.kind.padEnd(9)} ${item.file}:${item.line} ${item.operator}: ${change}`;
}

try {
  const refused = findRefused(copy, asked);
  const compiled = asked.filter((item) => !refused.has(item));
  build(
    copy,
    compiled,
    tree.filter((path) => /\.(test|contract)\.ts$/.test(path)),
  );
  console.error(`${compiled.length} compile; measuring ${tests.length} test files`);
  const reach = await measure(copy, tests, Number(values.workers));
  console.error(`${reach.all} tests; unusable: ${reach.unusable.length}`);
  for (const line of reach.unusable) console.error(`  ${line}`);
  await tryAll(copy, compiled, reach, Number(values.workers), (item, fate) => {
    rows.push({ item, fate });
    console.error(`${rows.length}/${compiled.length} ${lineOf({ item, fate })}`);
  });
} finally {
  rmSync(copy, { recursive: true, force: true });
}

function count(kind: Fate["kind"], room?: string): number {
  const inRoom = ({ item }: Row) => room === undefined || room === roomOf(item.file);
  return rows.filter((row) => row.fate.kind === kind && inRoom(row)).length;
}
const killed = count("killed");
/** Timeouts stand apart: an endless loop is noticed, but not by a test. */
const judged = rows.length - count("timeout");
const share = judged === 0 ? 0 : killed / judged;
const bound = lowerBound(killed, judged);
const missed = rows
  .filter(({ fate }) => fate.kind === "survived" || fate.kind === "unreached")
  .sort((a, b) => (a.item.file < b.item.file ? -1 : 1));

for (const row of missed) console.log(lineOf(row));
for (const room of new Set(rows.map(({ item }) => roomOf(item.file)))) {
  const inRoom = rows.filter(({ item }) => roomOf(item.file) === room).length;
  console.log(`${room}: ${count("killed", room)} of ${inRoom - count("timeout", room)} caught`);
}
const percent = (part: number) => Math.round(part * 1_000) / 10;
console.log(`caught ${percent(share)} % of ${judged}, at least ${percent(bound)} % (95 %)`);

if (values.report !== undefined) {
  const lines = missed.map((row) => `${lineOf(row)}\n    ${keyOf(row.item, lineTextOf(row.item))}`);
  writeFileSync(values.report, `${lines.join("\n")}\n`);
}
if (values.figures !== undefined) {
  const figures = {
    seed: Number(values.seed),
    drawn: drawn.length,
    equivalent: equivalent.length,
    does_not_compile: asked.length - rows.length,
    killed,
    survived: count("survived"),
    unreached: count("unreached"),
    timeout: count("timeout"),
    caught_percent: percent(share),
    lower_bound_percent: percent(bound),
  };
  writeFileSync(values.figures, JSON.stringify(figures));
}
process.exit(share >= SHARE_MIN && bound >= BOUND_MIN ? 0 : 1);
