/**
 * Stands for `bun:test` in instrumented test files, so that one process can run single tests again
 * and again. It collects tests and hooks instead of running them; `expect` and the mocks are Bun's.
 * Adapter: fixes the seed of fast-check, so that a verdict can be repeated.
 */
import fc from "fast-check";

const SEED = 20_261_122;
fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: SEED });

type Body = (...values: never[]) => unknown;
type Hooks = Record<"beforeAll" | "afterAll" | "beforeEach" | "afterEach", Body[]>;
export type Suite = { name: string; parent: Suite | null; hooks: Hooks };
export type Test = { name: string; suite: Suite; body: Body; values: unknown[] };

const newSuite = (name: string, parent: Suite | null): Suite => ({
  name,
  parent,
  hooks: { beforeAll: [], afterAll: [], beforeEach: [], afterEach: [] },
});

let suite = newSuite("", null);
let tests: Test[] = [];

/** Collects what one file defines. */
export async function collect(path: string): Promise<Test[]> {
  suite = newSuite(path, null);
  tests = [];
  await import(path);
  return tests;
}

const asRow = (row: unknown): unknown[] => (Array.isArray(row) ? row : [row]);

function addTest(name: unknown, body?: Body, _limit?: unknown, values: unknown[] = []): void {
  if (body === undefined) return;
  const same = tests.filter((other) => other.suite === suite && other.name === String(name)).length;
  const unique = same === 0 ? String(name) : `${String(name)} (${same + 1})`;
  tests.push({ name: unique, suite, body, values });
}

function addSuite(name: unknown, body: Body, values: unknown[] = []): void {
  const outer = suite;
  suite = newSuite(String(name), outer);
  // Tests are defined at once, as Bun does it; a suite that is async is not used here.
  Reflect.apply(body, undefined, values);
  suite = outer;
}

const skip = () => undefined;
const withRows =
  (add: (name: unknown, body: Body, row: unknown[]) => void) =>
  (rows: readonly unknown[]) =>
  (name: unknown, body: Body): void => {
    rows.forEach((row, index) => add(`${String(name)} [${index}]`, body, asRow(row)));
  };

export const test = Object.assign(addTest, {
  each: withRows((name, body, row) => addTest(name, body, undefined, row)),
  skip,
  todo: skip,
  if: (holds: unknown) => (holds === true ? addTest : skip),
  skipIf: (holds: unknown) => (holds === true ? skip : addTest),
});

export const describe = Object.assign(
  (name: unknown, body: Body) => {
    addSuite(name, body);
  },
  {
    each: withRows(addSuite),
    skip,
    skipIf: (holds: unknown) => (holds === true ? skip : addSuite),
    if: (holds: unknown) => (holds === true ? addSuite : skip),
  },
);

const hook = (kind: keyof Hooks) => (body: Body) => {
  suite.hooks[kind].push(body);
};
export const beforeAll = hook("beforeAll");
export const afterAll = hook("afterAll");
export const beforeEach = hook("beforeEach");
export const afterEach = hook("afterEach");
export const setDefaultTimeout = skip;

/** `Bun.jest` is what `bun test` itself gives to a file; its types are not published. */
const bun: unknown = Reflect.apply(Reflect.get(Bun, "jest"), Bun, [import.meta.path]);
const part = (name: string): unknown => Reflect.get(Object(bun), name);
export const [expect, mock, spyOn, jest] = ["expect", "mock", "spyOn", "jest"].map(part);
export { test as it };

const chain = (inner: Suite): Suite[] =>
  inner.parent === null ? [inner] : [...chain(inner.parent), inner];

/**
 * Runs one test with its hooks and throws what it threw. What a file opens as it is read, and
 * closes at its end, is left open, or the test could not be run again.
 */
export async function runTest({ suite: own, body, values }: Test): Promise<void> {
  const suites = chain(own);
  const call = async (bodies: Body[], given: unknown[] = []) => {
    for (const one of bodies) await Reflect.apply(one, undefined, given);
  };
  try {
    for (const { hooks } of suites) await call(hooks.beforeAll);
    for (const { hooks } of suites) await call(hooks.beforeEach);
    await Reflect.apply(body, undefined, values);
  } finally {
    for (const { hooks } of suites.toReversed()) await call(hooks.afterEach);
    for (const { hooks } of suites.toReversed()) {
      if (hooks.beforeAll.length > 0) await call(hooks.afterAll);
    }
  }
}
