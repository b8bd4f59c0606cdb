/**
 * `npm run once -- beside BASE [--pairs N] [--seconds S]`: builds this commit and BASE, measures
 * both in turn with this commit's benches, and says what costs more. Who goes first changes from
 * pair to pair, since on a shared machine only ratios of such turns mean anything. What is measured
 * in the sources' own process (decisions of a large fleet, a simulated story) runs each commit's
 * own code. Exit 1 if a row is worse by more than a tenth.
 */
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import * as v from "valibot";
import { ROOT } from "../../build/product.ts";
import { type Figure, shown } from "./bench.ts";
import { formatRows, isWorse, medianOf, pairUp, type Row, type Turn } from "./pair.ts";

const Result = v.object({
  figures: v.array(
    v.object({
      name: v.string(),
      measured: v.nullable(v.number()),
      unit: v.picklist(["ms", "%", "MiB", "s", "count"]),
    }),
  ),
});

type Side = { tree: string; dist: string };
/** What one side does in one turn. */
type Measure = { name: string; run(side: Side): Promise<Figure[]> };

async function outputOf(cwd: string, words: readonly string[]): Promise<string> {
  const child = Bun.spawn([...words], { cwd, stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  const code = await child.exited;
  // A bench that is over its budget ends with 1, and has figures all the same.
  if (code > 1 || (code !== 0 && out === "")) {
    throw new Error(`${words.join(" ")} ended with ${code}: ${err.slice(-2_000)}`);
  }
  return out;
}

const bun = (...words: string[]): string[] => [process.execPath, "run", ...words];

async function benchIn(tree: string, words: readonly string[]): Promise<Figure[]> {
  const out = await outputOf(tree, bun(join(tree, "test/bench/main.ts"), ...words, "--json"));
  return out
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .flatMap((line) => v.parse(Result, JSON.parse(line)).figures)
    .map(({ name, measured, unit }) => shown(name, measured ?? NaN, unit));
}

/** With this commit's bench, on the side's binaries. */
const ofBinaries = (name: string, ...more: string[]): Measure => ({
  name,
  run: ({ dist }) => benchIn(ROOT, [name, "--dist", dist, ...more]),
});

const STORY = ["--seed", "7", "--nodes", "300", "--days", "0.25", "--shrink", "0"];

/** CPU of a simulated story, by the side's own simulator. */
const story: Measure = {
  name: "story",
  async run({ tree }) {
    const child = Bun.spawn(bun(join(tree, "test/sim/main.ts"), ...STORY), {
      cwd: tree,
      stdout: "ignore",
      stderr: "ignore",
    });
    await child.exited;
    const cpuMs = Number(child.resourceUsage()?.cpuTime.total ?? NaN) / 1_000;
    return [shown("a simulated story of 300 nodes: CPU", cpuMs, "ms")];
  },
};

/** BASE in a folder of its own, with its own binaries; its packages too, if its lock file differs. */
async function openBase(base: string, folder: string): Promise<Side> {
  const tree = join(folder, "base");
  await outputOf(ROOT, ["git", "clone", "-q", "--no-checkout", ROOT, tree]);
  await outputOf(tree, ["git", "checkout", "-q", "--detach", base]);
  const lockOf = (of: string) => Bun.file(join(of, "package-lock.json")).text();
  const isSame = (await lockOf(tree)) === (await lockOf(ROOT));
  if (isSame) symlinkSync(join(ROOT, "node_modules"), join(tree, "node_modules"));
  else await outputOf(tree, ["npm", "ci", "--silent"]);
  await outputOf(tree, bun("build/build.ts"));
  return { tree, dist: join(tree, "dist") };
}

async function openOurs(folder: string): Promise<Side> {
  await outputOf(ROOT, bun("build/build.ts"));
  // A build while it is measured must not change it.
  const dist = join(folder, "ours");
  cpSync(join(ROOT, "dist"), dist, { recursive: true });
  return { tree: ROOT, dist };
}

async function turn(measures: readonly Measure[], sides: Record<"ours" | "base", Side>, n: number) {
  const result: Record<"ours" | "base", Figure[]> = { ours: [], base: [] };
  const order = n % 2 === 0 ? (["ours", "base"] as const) : (["base", "ours"] as const);
  for (const measure of measures) {
    for (const who of order) result[who].push(...(await measure.run(sides[who])));
  }
  return result;
}

const OTHER = ", other build";

/** The bench of two agents names the figures of the other build so. */
function apart(figures: readonly Figure[]): Turn {
  const isBase = ({ name }: Figure) => name.endsWith(OTHER);
  const base = figures.filter(isBase);
  return {
    ours: figures.filter((one) => !isBase(one) && !one.name.includes("share of the other")),
    base: base.map((one) => ({ ...one, name: one.name.slice(0, -OTHER.length) })),
  };
}

function ofRow({ ours, base: before, ratios }: Row): Record<string, number> {
  const [least, most] = [Math.min(...ratios), Math.max(...ratios)];
  return { before, after: ours, share: medianOf(ratios), least, most };
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pairs: { type: "string", default: "3" },
    seconds: { type: "string", default: "30" },
    only: { type: "string" },
    figures: { type: "string" },
  },
});
const [base] = positionals;
if (base === undefined) throw new Error("expected a commit: npm run once -- beside BASE");
const MEASURES: readonly Measure[] = [
  ofBinaries("empty"),
  ofBinaries("ingest", "--agents", "1000", "--seconds", values.seconds),
  ofBinaries("ingest", "--agents", "10000", "--seconds", values.seconds),
  ofBinaries("latency"),
  story,
  { name: "scaling", run: ({ tree }) => benchIn(tree, ["scaling"]) },
];
const measures = MEASURES.filter(({ name }) => values.only?.split(",").includes(name) ?? true);

const folder = mkdtempSync(join(tmpdir(), "navarch-beside-"));
try {
  const sides = { ours: await openOurs(folder), base: await openBase(base, folder) };
  const turns: Turn[] = [];
  for (let n = 0; n < Number(values.pairs); n++) {
    turns.push(await turn(measures, sides, n));
    console.error(`pair ${n + 1} of ${values.pairs}`);
  }
  // The two agents idle side by side, so one run is a pair of its own.
  const isAgent = values.only === undefined || values.only.includes("agent");
  const agents = isAgent
    ? await benchIn(ROOT, ["beside", "--dist", sides.ours.dist, "--base", sides.base.dist])
    : [];
  const rows: Row[] = [...pairUp(turns), ...pairUp([apart(agents)])];
  console.log(formatRows(rows));
  const worse = rows.filter(isWorse);
  if (values.figures !== undefined) {
    const named = rows.map((row) => [row.name, { ...ofRow(row) }]);
    const commit = (await outputOf(ROOT, ["git", "rev-parse", "--short=12", base])).trim();
    const figures = { base: commit, pairs: turns.length, ...Object.fromEntries(named) };
    await Bun.write(values.figures, JSON.stringify(figures));
  }
  process.exitCode = worse.length === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
