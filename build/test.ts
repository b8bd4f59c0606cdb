/**
 * `npm test`: builds stale binaries, runs `bun test` with the given arguments, and ends its output
 * with the failures and `N passed, N failed`. Without arguments it runs the ordinary tests in three
 * processes and one story of each real part that is here; `--real` (`npm run test:real`) runs every
 * lane and records the passes; `CI=true` runs the ordinary tests and the lanes that are due, after
 * a check of the types. Clusters and machines are built before any test, so that no build slows a
 * test down. A failed type check, a failed build and a crashed run count as one failure each.
 * Nothing that failed is repeated. A run leaves nothing behind.
 */
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { PRODUCTS, ROOT, isStale } from "./product.ts";
import { clearScratch, clearStale, fastRoot, openScratch } from "./scratch.ts";
import { type Lane, LANE_VARIABLE, LANES, MACHINES, TRACKS } from "./lane.ts";
import { lanesOfCheck, recordPass } from "./lane-record.ts";
import { EMPTY, foldLine, formatCounts, isFileLine, joinVerdicts, judgeRun } from "./tally.ts";
import type { Verdict } from "./tally.ts";

const IS_CI = process.env["CI"] === "true";
const REAL_FLAG = "--real";
const GIVEN = process.argv.slice(2);
const IS_REAL = GIVEN.includes(REAL_FLAG);
const HAS_LANES = IS_CI || IS_REAL;
/** As `test/real/machine/gate.ts` has it. */
const HAS_MACHINES = HAS_LANES || process.env["NAVARCH_MACHINES"] === "1";

/** Below the 90 minutes of the CI job, so that a hung test ends as a failure with counts. */
const RUN_MS_MAX = (HAS_MACHINES ? 80 : 30) * 60_000;

/** Default limit of one test: ten times what any needs, for a busy machine. */
const TEST_MS = 60_000;

/** Limit of one file of tests on machines; the longest takes a third of it. */
const FILE_MS_MAX = 15 * 60_000;

/** Time to read the last output: a child that a test left behind may hold the pipe open. */
const DRAIN_MS_MAX = 5_000;

/** Number of slowest files to list. */
const SLOWEST = 20;
const stages: string[] = [];
const fileMs = new Map<string, number>();

const BIN = join(ROOT, "node_modules", ".bin");
/** The lanes of real parts are asked for by name, so nothing in them may be skipped. */
const REAL_ENV = IS_REAL ? { CI: "true" } : {};
const ENV = { ...process.env, ...REAL_ENV, PATH: `${BIN}${delimiter}${process.env["PATH"] ?? ""}` };

async function succeeds(command: readonly string[]): Promise<boolean> {
  const child = Bun.spawn([...command], {
    cwd: ROOT,
    env: ENV,
    stdio: ["ignore", "inherit", "inherit"],
  });
  return (await child.exited) === 0;
}

type RunOptions = {
  lane?: Lane | null;
  maySkip?: boolean;
  /** Where its temporary folder lies. */
  root?: string;
};

/** Runs tests for at most `limitMs`, with a temporary folder of their own. */
async function runTests(
  stage: string,
  args: readonly string[],
  limitMs: number,
  { lane = null, maySkip = false, root }: RunOptions = {},
): Promise<Verdict> {
  const startMs = performance.now();
  const scratch = openScratch(root);
  const timings = join(scratch, "timings.json");
  // Bun updates the first file of times that it is given.
  const options = [`--timeout=${TEST_MS}`, `--timings=${timings}`, "--update-timings"];
  // Beside tests that wait for something within a time.
  const nice = lane?.loads === true ? ["nice", "-n", "10"] : [];
  const child = Bun.spawn([...nice, process.execPath, "test", ...options, ...args], {
    cwd: ROOT,
    env: { ...ENV, TMPDIR: scratch, ...(lane === null ? {} : { [LANE_VARIABLE]: lane.name }) },
    stdio: ["ignore", "inherit", "pipe"],
  });
  const stop = () => child.kill("SIGTERM");
  process.on("SIGINT", stop).on("SIGTERM", stop);
  let late = false;
  const limit = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, limitMs);
  let tally = EMPTY;
  const reading = readLines(child.stderr, (line) => {
    tally = foldLine(tally, line);
  });
  const status = await child.exited;
  clearTimeout(limit);
  process.off("SIGINT", stop).off("SIGTERM", stop);
  await Promise.race([reading, Bun.sleep(DRAIN_MS_MAX)]);
  for (const [file, ms] of readTimings(timings)) fileMs.set(file, ms);
  for (const left of await clearScratch(scratch))
    console.error(`npm test: left and ended: ${left}`);
  const cpuMs = Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1_000;
  stages.push(`${stage}: ${minutes(performance.now() - startMs)} (CPU ${minutes(cpuMs)})`);
  const verdict = judgeRun(tally, status, maySkip);
  return late
    ? { ...verdict, why: `killed after ${Math.round(limitMs / 60_000)} minutes` }
    : verdict;
}

/** Time of each file as Bun writes it; empty for a run that died. */
function readTimings(path: string): [file: string, ms: number][] {
  if (!existsSync(path)) return [];
  const { files } = JSON.parse(readFileSync(path, "utf8")) as { files: Record<string, number> };
  return Object.entries(files);
}

const minutes = (ms: number): string => `${(ms / 60_000).toFixed(1)} min`;

/** Copies a stream to standard error (in CI one file at a time) and passes each line to `take`. */
async function readLines(
  stream: ReadableStream<Uint8Array>,
  take: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  let held = "";
  const flush = () => {
    process.stderr.write(held);
    held = "";
  };
  const show = (line: string) => {
    if (isFileLine(line)) flush();
    held += line;
    if (!IS_CI) flush();
    take(line.replace(/\n$/, ""));
  };
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/(?<=\n)/);
    rest = lines.at(-1)?.endsWith("\n") === false ? (lines.pop() ?? "") : "";
    for (const line of lines) show(line);
  }
  if (rest !== "") show(rest);
  flush();
}

/**
 * Processes of the ordinary tests: some wait, so there is one more than two cores. With four a test
 * that needs a core for some milliseconds may not get one.
 */
const WORKERS = 3;
/** The slowest of them, which begin first, so that none of them ends alone. */
const SLOW = join(ROOT, "build", "slow-tests.json");

/** Builds what many tests need. The build prints its errors; tests that need it then fail. */
async function prepare(endMs: number, script: string, ...args: string[]): Promise<void> {
  const build = [process.execPath, "run", join(ROOT, script), "--build", ...args];
  const child = Bun.spawn(build, { cwd: ROOT, env: ENV, stdio: ["ignore", "inherit", "inherit"] });
  const stop = () => child.kill("SIGTERM");
  process.on("SIGINT", stop).on("SIGTERM", stop);
  const limit = setTimeout(stop, endMs - performance.now());
  await child.exited;
  clearTimeout(limit);
  process.off("SIGINT", stop).off("SIGTERM", stop);
}

/** Test files that boot machines, or put as much load on this one. */
function machineFiles(): string[] {
  const asks = /\b(?:missesBed|whyNoBed|isUnasked)\(/;
  const paths = ["bootstrap", "test"].flatMap((room) =>
    [...new Bun.Glob("**/*.test.ts").scanSync(join(ROOT, room))].map((path) => join(room, path)),
  );
  return paths.filter((path) => asks.test(readFileSync(join(ROOT, path), "utf8"))).sort();
}

type Chosen = ReadonlyMap<string, string>;

/** The lanes of this kind of run, each with why. */
function chosenLanes(machines: readonly string[]): Chosen {
  if (IS_REAL) return new Map(LANES.map(({ name }) => [name, "asked for"]));
  return IS_CI ? lanesOfCheck(machines) : new Map();
}

/**
 * Runs `args`, or the parts of this kind of run: the ordinary tests, which load every core, and
 * after them the lanes, which mostly wait, side by side. A lane that does not run tells its story.
 */
async function runAll(args: readonly string[]): Promise<Verdict> {
  const endMs = performance.now() + RUN_MS_MAX;
  const leftMs = () => endMs - performance.now();
  if (args.length > 0) return runTests("tests", args, leftMs());
  const machines = machineFiles();
  const chosen = chosenLanes(machines);
  if (HAS_LANES) await prepare(endMs, "test/real/kubernetes/main.ts", "all");
  if (HAS_MACHINES) await prepare(endMs, "test/real/machine/main.ts", "all");
  const ordinary = IS_REAL ? [] : [await runOrdinary(machines, leftMs())];
  const tracks = TRACKS.map(async (names) => {
    const verdicts: Verdict[] = [];
    for (const lane of LANES.filter(({ name }) => names.includes(name))) {
      verdicts.push(...(await runLane(lane, { chosen, machines, leftMs })));
    }
    return verdicts;
  });
  const verdicts = [...ordinary, ...(await Promise.all(tracks)).flat()];
  tellLanes(chosen);
  return verdicts.reduce(joinVerdicts);
}

/** All but what only a lane runs. */
function runOrdinary(machines: readonly string[], limitMs: number): Promise<Verdict> {
  const others = [...machines, ...LANES.flatMap(({ tests }) => tests).map((path) => `${path}/**`)];
  const workers = [`--parallel=${WORKERS}`, "--no-isolate", `--timings=${SLOW}`];
  const ignored = others.map((path) => `--path-ignore-patterns=${path}`);
  return runTests("ordinary", [...workers, ...ignored], limitMs, { root: fastRoot() });
}

type LaneRun = { chosen: Chosen; machines: readonly string[]; leftMs(): number };

async function runLane(lane: Lane, { chosen, machines, leftMs }: LaneRun): Promise<Verdict[]> {
  const { name, story, tests } = lane;
  if (!chosen.has(name)) {
    if (story === null) return [];
    // On a machine that has not its real part it says so; with CI=true it fails.
    return [await runTests(`story of ${name}`, [`./${story}`], leftMs(), { maySkip: true })];
  }
  const startMs = performance.now();
  const files = name === MACHINES ? (HAS_MACHINES ? machines : []) : [];
  const verdicts: Verdict[] = [];
  // Each file on machines in a run of its own, with a limit of its own.
  for (const path of files) {
    const limitMs = Math.min(FILE_MS_MAX, leftMs());
    verdicts.push(await runTests(path, [`./${path}`], limitMs, { lane }));
  }
  if (tests.length > 0) verdicts.push(await runTests(name, tests, leftMs(), { lane }));
  const ms = performance.now() - startMs;
  if (name === MACHINES) stages.push(`${name}: ${minutes(ms)}`);
  if (verdicts.length === 0) return [];
  const { counts, why } = verdicts.reduce(joinVerdicts);
  const isWhole = why === null && counts.failed === 0;
  const figures = { counts, minutes: Math.round(ms / 6_000) / 10 };
  if (IS_REAL && isWhole) recordPass(lane, machines, figures);
  return verdicts;
}

/** Which lanes ran and why, and which were not needed. */
function tellLanes(chosen: Chosen): void {
  for (const [name, why] of chosen) console.error(`npm test: lane ${name} ran: ${why}`);
  const others = LANES.map(({ name }) => name).filter((name) => !chosen.has(name));
  if (others.length === 0) return;
  const why = HAS_LANES ? "not due" : "npm run test:real";
  console.error(`npm test: lanes that did not run (${why}): ${others.join(", ")}`);
}

/** The time of each stage and of the slowest files. */
function logTimes(): void {
  for (const stage of stages) console.error(`npm test: ${stage}`);
  const slowest = [...fileMs].sort(([, a], [, b]) => b - a).slice(0, SLOWEST);
  for (const [file, ms] of slowest) console.error(`npm test: ${Math.round(ms / 1_000)} s ${file}`);
}

const problems: string[] = [];
for (const left of await clearStale()) console.error(`npm test: left by an earlier run: ${left}`);

if (IS_CI && !(await succeeds([join(BIN, "tsc"), "--noEmit"]))) {
  problems.push("the types do not check");
}
if (PRODUCTS.some((product) => isStale(product, join(ROOT, "dist")))) {
  const build = [process.execPath, "run", join(ROOT, "build", "build.ts")];
  if (!(await succeeds(build))) problems.push("the build failed");
}

const { counts, why, failures } = await runAll(GIVEN.filter((word) => word !== REAL_FLAG));
logTimes();
for (const failure of failures) console.log(`\nfailed: ${failure}`);
if (failures.length > 0) console.log();
for (const problem of why === null ? problems : [...problems, why]) {
  console.error(`npm test: ${problem}`);
}
const total = { ...counts, failed: counts.failed + problems.length };
console.log(formatCounts(total));
process.exitCode = total.failed === 0 ? 0 : 1;
// A leaked child may hold the pipe open and keep this process running; the counts are final.
process.exit();
