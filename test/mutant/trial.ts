/**
 * The trial of a sample: which tests reach each mutant, and whether one of them fails. Adapter:
 * reads and writes the instrumented copy, starts workers.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { instrument, type Numbered } from "./instrument.ts";
import { spread, startWorker, type Worker } from "./pool.ts";
import type { Candidate } from "./sample.ts";
import type { Measured, TestRef, Verdict } from "./worker.ts";

export type Item = Candidate & Numbered;
export type Fate = Verdict | { kind: "unreached"; by: string };

const MEASURE_MS_MAX = 240_000;

/** Builds `items` into the copy, and lets its tests import the stand-in for `bun:test`. */
export function build(copy: string, items: readonly Item[], tests: readonly string[]): void {
  const from = (path: string) => JSON.stringify(join(copy, path));
  for (const [file, own] of Map.groupBy(items, ({ file }) => file)) {
    const path = join(copy, file);
    const text = instrument(file, readFileSync(path, "utf8"), own);
    writeFileSync(path, `import ${from("test/mutant/runtime.ts")}; ${text}`);
  }
  for (const file of tests) {
    const path = join(copy, file);
    const text = readFileSync(path, "utf8");
    const shim = `from ${from("test/mutant/shim.ts")}`;
    writeFileSync(
      path,
      text.replace(/from "bun:test"/, () => shim),
    );
  }
}

export type Reach = {
  /** The usable tests that reach each mutant. */
  tests: Map<number, TestRef[]>;
  /** Usable tests of the files whose import alone reaches it: what no function of its own reads. */
  atImport: Map<number, TestRef[]>;
  /** Test files that cannot be used, with the reason. */
  unusable: string[];
  all: number;
};

/** Each test file once, in a process of its own. */
export async function measure(
  copy: string,
  files: readonly string[],
  runners: number,
): Promise<Reach> {
  const reach: Reach = { tests: new Map(), atImport: new Map(), unusable: [], all: 0 };
  const note = (map: Map<number, TestRef[]>, id: number, test: TestRef) => {
    const list = map.get(id);
    if (list === undefined) map.set(id, [test]);
    else list.push(test);
  };
  await spread(
    files,
    runners,
    () => ({ close: () => undefined }),
    async (file) => {
      const worker = startWorker(copy);
      const answer = await worker.ask({ kind: "measure", file: join(copy, file) }, MEASURE_MS_MAX);
      worker.close();
      if (!isMeasured(answer)) {
        reach.unusable.push(`${file}: died, or took over ${MEASURE_MS_MAX / 1_000} s`);
        return;
      }
      for (const { ok, reached, ...test } of answer.tests) {
        if (!ok) reach.unusable.push(`${file}: ${test.name}`);
        else reach.all += 1;
        if (ok) for (const id of reached) note(reach.tests, id, test);
        if (ok) for (const id of answer.atImport) note(reach.atImport, id, test);
      }
    },
  );
  return reach;
}

const isMeasured = (answer: unknown): answer is Measured =>
  typeof answer === "object" && answer !== null && "atImport" in answer;

const isVerdict = (answer: unknown): answer is Verdict =>
  typeof answer === "object" && answer !== null && "kind" in answer;

/** Tests of one mutant together; what is left out then counts as not having noticed. */
const TRIAL_MS_MAX = 30_000;
/** Those of them that may have nothing to do with it. */
const IMPORT_MS_MAX = 10_000;

/** Those beside the file come first, the quickest of each first. */
function within(item: Item, tests: readonly TestRef[], msMax = TRIAL_MS_MAX): TestRef[] {
  const isBeside = ({ file }: TestRef) => file.includes(`/${dirname(item.file)}/`);
  const away = (test: TestRef) => (isBeside(test) ? 0 : 1);
  let ms = 0;
  return tests
    .toSorted((a, b) => away(a) - away(b) || a.ms - b.ms)
    .filter((test) => (ms += test.ms) < msMax);
}

/**
 * The tests to ask about a mutant. What another file reads of a constant is not seen, so tests that
 * merely import it follow.
 */
export function testsFor(item: Item, reach: Reach): TestRef[] {
  const known = within(item, reach.tests.get(item.id) ?? []);
  if (item.constant === null) return known;
  const others = (reach.atImport.get(item.id) ?? []).filter((test) => !known.includes(test));
  return [...known, ...within(item, others, IMPORT_MS_MAX)];
}

const limitOf = (tests: readonly TestRef[]): number =>
  30_000 + 5 * tests.reduce((sum, { ms }) => sum + ms, 0);

/** Tries every mutant; `done` hears each as it ends. */
export async function tryAll(
  copy: string,
  items: readonly Item[],
  reach: Reach,
  runners: number,
  done: (item: Item, fate: Fate) => void,
): Promise<void> {
  await spread(items, runners, newRunner(copy), async (item, runner) => {
    const tests = testsFor(item, reach);
    if (tests.length === 0) return done(item, { kind: "unreached", by: "" });
    const isStatic = item.constant !== null;
    done(item, isStatic ? await tryStatic(copy, item, tests) : await runner.attempt(item, tests));
  });
}

type Runner = { attempt: (item: Item, tests: TestRef[]) => Promise<Fate>; close: () => void };

/** One worker for many mutants, another one after any that left it in an unknown state. */
function newRunner(copy: string): () => Runner {
  return () => {
    let worker = startWorker(copy);
    return {
      attempt: async (item, tests) => {
        if (!worker.isAlive()) worker = startWorker(copy);
        const request = { kind: "try", mutant: item.id, tests } as const;
        const fate = verdictOf(await worker.ask(request, limitOf(tests)));
        if (fate.kind === "timeout") worker.close();
        return fate;
      },
      close: () => worker.close(),
    };
  };
}

const verdictOf = (answer: unknown): Verdict =>
  isVerdict(answer) ? answer : { kind: "timeout", by: "the process" };

/** What runs once, at import, takes a process with the mutant on from its start. */
async function tryStatic(copy: string, item: Item, tests: readonly TestRef[]): Promise<Fate> {
  let left = [...tests];
  for (;;) {
    const fate = await inOwn(copy, item.id, (worker) =>
      worker.ask({ kind: "try", mutant: item.id, tests: left }, limitOf(left)),
    );
    if (fate.kind !== "killed") return fate;
    const killer = left.findIndex(({ file, name }) => `${file} ${name}` === fate.by);
    const alone = left.slice(killer, killer + 1);
    const calm = await inOwn(copy, 0, (worker) =>
      worker.ask({ kind: "control", tests: alone }, limitOf(alone)),
    );
    if (calm.kind !== "unusable") return fate;
    left = left.slice(killer + 1);
    if (left.length === 0) return { kind: "survived", by: "" };
  }
}

async function inOwn(
  copy: string,
  mutant: number,
  ask: (worker: Worker) => Promise<unknown>,
): Promise<Verdict> {
  const worker = startWorker(copy, mutant);
  try {
    return verdictOf(await ask(worker));
  } finally {
    worker.close();
  }
}
