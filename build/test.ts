/**
 * `npm test`: builds stale binaries, runs `bun test` with the given arguments, and ends its output
 * with the failures and `N passed, N failed`. Without arguments it runs the ordinary tests in three
 * processes; `--real` (`npm run test:real`) runs the lanes of real parts, and `CI=true` runs both,
 * after a check of the types. Clusters and machines are built before any test, so that no build
 * slows a test down. A failed type check, a failed build and a crashed run count as one failure
 * each. Nothing that failed is repeated. A run leaves nothing behind.
 */
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { PRODUCTS, ROOT, isStale } from "./product.ts";
import { clearScratch, clearStale, openScratch } from "./scratch.ts";
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

/** Runs tests for at most `limitMs`, with a temporary folder of their own. */
async function runTests(stage: string, args: readonly string[], limitMs: number): Promise<Verdict> {
  const startMs = performance.now();
  const scratch = openScratch();
  const timings = join(scratch, "timings.json");
  // Bun updates the first file of times that it is given.
  const options = [`--timeout=${TEST_MS}`, `--timings=${timings}`, "--update-timings"];
  const child = Bun.spawn([process.execPath, "test", ...options, ...args], {
    cwd: ROOT,
    env: { ...ENV, TMPDIR: scratch },
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
  const verdict = judgeRun(tally, status);
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

/** The programs of its tests take minutes to build on a new machine; others use them. */
const KUBERNETES = "test/real/kubernetes";
/** Stands in a lane for the files of `machineFiles`, each a run of its own. */
const MACHINES = "machines";
/**
 * The real parts, in lanes of about the same time. They take minutes, root and packages, so they
 * run with `CI=true` or `--real` alone.
 */
const LANES = [
  [KUBERNETES, "test/real/agentpool"],
  [MACHINES, "test/real/workflow"],
  ["test/real/slurm", "test/real/console"],
] as const;
const FOLDERS: readonly string[] = LANES.flat().filter((part) => part !== MACHINES);

/** Processes of the ordinary tests: some wait, so there is one more than two cores. */
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

/**
 * Runs `args`, or the parts of this kind of run: the ordinary tests, which load every core, and
 * after them the lanes of real parts, which mostly wait, side by side.
 */
async function runAll(args: readonly string[]): Promise<Verdict> {
  const endMs = performance.now() + RUN_MS_MAX;
  const run = (stage: string, ...given: string[]) =>
    runTests(stage, given, endMs - performance.now());
  if (args.length > 0) return run("tests", ...args);
  const machines = machineFiles();
  const others = [...machines, ...FOLDERS.map((folder) => `${folder}/**`)];
  const workers = [`--parallel=${WORKERS}`, "--no-isolate", `--timings=${SLOW}`];
  const runOrdinary = (): Promise<Verdict> =>
    run("ordinary", ...workers, ...others.map((path) => `--path-ignore-patterns=${path}`));
  if (!HAS_LANES) console.error(`npm test: SKIPPED: ${FOLDERS.join(", ")}: npm run test:real\n`);
  if (HAS_LANES) await prepare(endMs, `${KUBERNETES}/main.ts`, "all");
  if (HAS_MACHINES) await prepare(endMs, "test/real/machine/main.ts", "all");
  const runMachines = async (): Promise<Verdict[]> => {
    const verdicts: Verdict[] = [];
    for (const path of HAS_MACHINES ? machines : []) {
      const limitMs = Math.min(FILE_MS_MAX, endMs - performance.now());
      verdicts.push(await runTests(path, [`./${path}`], limitMs));
    }
    return verdicts;
  };
  const runLane = async (parts: readonly string[]): Promise<Verdict[]> => {
    const startMs = performance.now();
    const verdicts: Verdict[] = [];
    for (const part of parts) {
      if (part === MACHINES) verdicts.push(...(await runMachines()));
      else if (HAS_LANES) verdicts.push(await run(part, part));
    }
    stages.push(`lane ${parts.join(", ")}: ${minutes(performance.now() - startMs)}`);
    return verdicts;
  };
  const ordinary = IS_REAL ? [] : [await runOrdinary()];
  const lanes = await Promise.all(LANES.map(runLane));
  return [...ordinary, ...lanes.flat()].reduce(joinVerdicts);
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
