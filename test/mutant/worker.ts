/**
 * One process that runs tests against mutants, driven over IPC by `pool.ts`. It measures a test
 * file once (which mutants each test reaches, how long it takes) or tries a mutant: it runs the
 * tests that reach it until one fails. A failure counts only if the same test passes right after
 * without the mutant, because a test may depend on one that ran before it.
 */
import { probe, TooManySteps } from "./runtime.ts";
import { collect, runTest, type Test } from "./shim.ts";

export type TestRef = { file: string; name: string; ms: number; steps: number };
export type Measured = {
  tests: (TestRef & { ok: boolean; reached: number[] })[];
  atImport: number[];
};
export type Verdict = { kind: "killed" | "survived" | "timeout" | "unusable"; by: string };
export type Request =
  | { kind: "measure"; file: string }
  | { kind: "try"; mutant: number; tests: TestRef[] }
  | { kind: "control"; tests: TestRef[] };

/** Beyond its own steps; an endless loop takes these in milliseconds. */
const STEPS_MORE = 200_000;
const STEPS_TIMES = 20;
/** For a test that waits for what a mutant keeps from coming; generous on shared cores. */
const LIMIT_MS = 10_000;
const LIMIT_TIMES = 20;

const after = globalThis.setTimeout;
const files = new Map<string, Map<string, Test>>();
/** What failed outside the call of a test: a promise that nobody waits for. */
let loose: unknown = null;
for (const kind of ["unhandledRejection", "uncaughtException"])
  process.on(kind, (error: unknown) => {
    loose = error ?? new Error(kind);
  });

async function open(file: string): Promise<Map<string, Test>> {
  const known = files.get(file);
  if (known !== undefined) return known;
  const tests = await collect(file);
  const named = new Map(tests.map((test) => [nameOf(test), test]));
  files.set(file, named);
  return named;
}

const nameOf = ({ name, suite }: Test): string => {
  const outer = [];
  for (let at = suite; at.parent !== null; at = at.parent) outer.unshift(at.name);
  return [...outer, name].join(" > ");
};

class TooLong extends Error {}

/** What the test threw, or `null`. */
async function failureOf(test: Test, limitMs: number): Promise<unknown> {
  loose = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = after(() => reject(new TooLong("too long")), limitMs);
  });
  try {
    await Promise.race([runTest(test), late]);
    return loose;
  } catch (error) {
    return error ?? new Error("threw nothing");
  } finally {
    clearTimeout(timer);
  }
}

async function measure(file: string): Promise<Measured> {
  const atImport = new Set<number>();
  probe.reached = atImport;
  const named = await open(file);
  const tests = [];
  for (const [name, test] of named) {
    const reached = new Set<number>();
    probe.reached = reached;
    probe.steps = 0;
    const startMs = performance.now();
    const ok = (await failureOf(test, 300_000)) === null;
    const ms = performance.now() - startMs;
    tests.push({ file, name, ms, steps: probe.steps, ok, reached: [...reached] });
  }
  probe.reached = null;
  return { tests, atImport: [...atImport] };
}

async function runOne(ref: TestRef, mutant: number): Promise<unknown> {
  const test = (await open(ref.file)).get(ref.name);
  if (test === undefined) return null;
  probe.steps = 0;
  probe.stepsMax = ref.steps * STEPS_TIMES + STEPS_MORE;
  probe.active = mutant;
  process.env["NAVARCH_MUTANT"] = String(mutant);
  const failure = await failureOf(test, ref.ms * LIMIT_TIMES + LIMIT_MS);
  const isEndless = probe.steps > probe.stepsMax;
  probe.stepsMax = Number.POSITIVE_INFINITY;
  return isEndless ? new TooManySteps("too many steps") : failure;
}

/** A mutant that was on from the start cannot be switched off: `pool.ts` confirms elsewhere. */
const STARTED_AS = probe.active;

async function attempt(mutant: number, tests: readonly TestRef[]): Promise<Verdict> {
  for (const ref of tests) {
    const failure = await runOne(ref, mutant);
    if (failure === null) continue;
    const by = `${ref.file} ${ref.name}`;
    if (failure instanceof TooLong || failure instanceof TooManySteps)
      return { kind: "timeout", by };
    if (STARTED_AS === mutant && mutant !== 0) return { kind: "killed", by };
    if ((await runOne(ref, 0)) === null) return { kind: "killed", by };
  }
  return { kind: "survived", by: "" };
}

/** Whether all of them pass alone in a fresh process. */
async function control(tests: readonly TestRef[]): Promise<Verdict> {
  for (const ref of tests) {
    if ((await runOne(ref, 0)) !== null) return { kind: "unusable", by: `${ref.file} ${ref.name}` };
  }
  return { kind: "survived", by: "" };
}

process.on("message", async (request: Request) => {
  switch (request.kind) {
    case "measure":
      process.send?.(await measure(request.file));
      break;
    case "try":
      process.send?.(await attempt(request.mutant, request.tests));
      break;
    case "control":
      process.send?.(await control(request.tests));
      break;
  }
});

// Whoever asked is gone: a test that hangs must not outlive it.
process.on("disconnect", () => process.exit());
