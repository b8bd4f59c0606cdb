/**
 * `npm test`: builds the two binaries if they are stale, runs `bun test`, and ends its standard
 * output with `N passed, N failed`, counted from what really ran, below what failed and why. With
 * `CI=true` the types are checked first, and what the Kubernetes tests need is built before any
 * test: a build that takes both cores for minutes finds out which test counts seconds, no more.
 * A failed type check, a failed build and a run that died each count as one failure, so that the
 * closing line never looks better than the tree. Arguments go to `bun test` as they are.
 */
import { delimiter, join } from "node:path";
import { PRODUCTS, ROOT, isStale } from "./product.ts";
import { EMPTY, foldLine, joinVerdicts, judgeRun, printCounts } from "./tally.ts";
import type { Verdict } from "./tally.ts";

const IS_CI = process.env["CI"] === "true";

/**
 * A hung test must end as a failure with its counts, not as a job that somebody kills. The whole CI
 * job has 90 minutes, of which installing and building take a few; at a desk half an hour is
 * already three times what the suite may take.
 */
const RUN_MS_MAX = (IS_CI ? 80 : 30) * 60_000;

/**
 * For one test that says nothing itself. None needs a tenth of it; on a machine that does five
 * other things at once a limit of seconds only finds out how busy it is.
 */
const TEST_MS = 60_000;

/** A child that a test left behind may hold the pipe open; what it says later is not waited for. */
const DRAIN_MS_MAX = 5_000;

const BIN = join(ROOT, "node_modules", ".bin");
const ENV = { ...process.env, PATH: `${BIN}${delimiter}${process.env["PATH"] ?? ""}` };

/** Runs one tool with its output shown. True if it succeeded. */
async function succeeds(command: readonly string[]): Promise<boolean> {
  const child = Bun.spawn([...command], {
    cwd: ROOT,
    env: ENV,
    stdio: ["ignore", "inherit", "inherit"],
  });
  return (await child.exited) === 0;
}

/** Runs them until `endMs` of the process's own clock at the latest. */
async function runTests(args: readonly string[], endMs: number): Promise<Verdict> {
  const child = Bun.spawn([process.execPath, "test", `--timeout=${TEST_MS}`, ...args], {
    cwd: ROOT,
    env: ENV,
    stdio: ["ignore", "inherit", "pipe"],
  });
  const stop = () => child.kill("SIGTERM");
  process.on("SIGINT", stop).on("SIGTERM", stop);
  let late = false;
  const limit = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, endMs - performance.now());
  let tally = EMPTY;
  const reading = readLines(child.stderr, (line) => {
    tally = foldLine(tally, line);
  });
  const status = await child.exited;
  clearTimeout(limit);
  process.off("SIGINT", stop).off("SIGTERM", stop);
  await Promise.race([reading, Bun.sleep(DRAIN_MS_MAX)]);
  const verdict = judgeRun(tally, status);
  return late ? { ...verdict, why: `killed after ${RUN_MS_MAX / 60_000} minutes` } : verdict;
}

/** Passes a stream on to standard error as it comes, and each of its lines to `take`. */
async function readLines(
  stream: ReadableStream<Uint8Array>,
  take: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    process.stderr.write(chunk);
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) take(line);
  }
  if (rest !== "") take(rest);
}

/** Tests of a real control plane; its programs take minutes to build on a new machine. */
const KUBERNETES = "test/real/kubernetes";

/** It says itself what went wrong; the tests that miss a program fail. */
async function buildKubernetes(endMs: number): Promise<void> {
  const build = [process.execPath, "run", join(ROOT, KUBERNETES, "main.ts"), "--build", "all"];
  const child = Bun.spawn(build, { cwd: ROOT, env: ENV, stdio: ["ignore", "inherit", "inherit"] });
  const stop = () => child.kill("SIGTERM");
  process.on("SIGINT", stop).on("SIGTERM", stop);
  const limit = setTimeout(stop, endMs - performance.now());
  await child.exited;
  clearTimeout(limit);
  process.off("SIGINT", stop).off("SIGTERM", stop);
}

/**
 * Everything, or what was asked for. In the continuous check the Kubernetes tests are a run of
 * their own, the last one.
 */
async function runAll(args: readonly string[]): Promise<Verdict> {
  const endMs = performance.now() + RUN_MS_MAX;
  if (!IS_CI || args.length > 0) return runTests(args, endMs);
  await buildKubernetes(endMs);
  const first = await runTests([`--path-ignore-patterns=${KUBERNETES}/**`], endMs);
  const second = await runTests([KUBERNETES], endMs);
  return joinVerdicts(first, second);
}

const problems: string[] = [];

if (IS_CI && !(await succeeds([join(BIN, "tsc"), "--noEmit"]))) {
  problems.push("the types do not check");
}
if (PRODUCTS.some((product) => isStale(product, join(ROOT, "dist")))) {
  const build = [process.execPath, "run", join(ROOT, "build", "build.ts")];
  if (!(await succeeds(build))) problems.push("the build failed");
}

const { counts, why, failures } = await runAll(process.argv.slice(2));
for (const failure of failures) console.log(`\nfailed: ${failure}`);
if (failures.length > 0) console.log();
for (const problem of why === null ? problems : [...problems, why]) {
  console.error(`npm test: ${problem}`);
}
const total = { ...counts, failed: counts.failed + problems.length };
console.log(printCounts(total));
process.exitCode = total.failed === 0 ? 0 : 1;
// A leaked child may still hold our end of the pipe open; the verdict stands.
process.exit();
