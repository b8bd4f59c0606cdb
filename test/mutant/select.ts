/** Which source is changed and which test files may notice: by path and by import. Pure. */
import { dirname, join, normalize } from "node:path";

/** The rooms in which mutants are generated. */
export const ROOMS: Readonly<Record<string, RegExp>> = {
  // Before the rooms that it shares files with.
  slurm: /^reconciler\/(core\/)?slurm\/|^reconciler\/core\/(decide|fold)\/slurm/,
  agentpool: /^reconciler\/(core\/)?agentpool\/|^reconciler\/core\/scaling\/idle\.ts$/,
  decide: /^reconciler\/core\/(decide\/|scaling\/candidate\.ts$)/,
  fold: /^reconciler\/core\/(fold|turn)\//,
  act: /^reconciler\/runtime\/act\//,
  safety: /^reconciler\/core\/safety\//,
  store: /^reconciler\/store\//,
  lease: /^reconciler\/server\/(lease\/|(adopt|leadership|role)\.ts$)/,
  join: /^reconciler\/security\/join\//,
  spool: /^agent\/spool\//,
  kernel: /^agent\/kernel\//,
  probe: /^agent\/probe\//,
};

/** Source of a room, without its tests, its contract suites and the text of its tables. */
export const isSource = (path: string): boolean =>
  path.endsWith(".ts") && !/\.(test|contract|d)\.ts$/.test(path);

/**
 * Test files that are not asked: those that need a machine, a cluster or minutes of real time, and
 * those about the tests and the texts themselves, for which any edit is a failure.
 */
const LEFT_OUT = new RegExp(
  "^test/(real|bench|torture|demo|once|record|mutant|systemd|install|deploy|tidy|cli" +
    "|sim/mutation)/|^test/(tidy|house|contract)\\.test|^build/",
);

export const isAsked = (path: string): boolean => path.endsWith(".test.ts") && !LEFT_OUT.test(path);

/** The files that each file imports, as paths of the repository. */
export type Imports = ReadonlyMap<string, readonly string[]>;

const targetsOf = (path: string, specifiers: readonly string[]): string[] =>
  specifiers
    .filter((specifier) => specifier.startsWith("."))
    .map((specifier) => normalize(join(dirname(path), specifier)));

/** The imports of each source of a tree; `read` gives its text. */
export function importsOf(tree: readonly string[], read: (path: string) => string): Imports {
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const entries = tree.map((path): [string, string[]] => {
    const found = transpiler.scanImports(read(path).replace(/^#!.*/, ""));
    return [
      path,
      targetsOf(
        path,
        found.map((one) => one.path),
      ),
    ];
  });
  return new Map(entries);
}

/** Everything that a file reaches by imports, itself too. */
export function reachOf(path: string, imports: Imports, seen = new Set<string>()): Set<string> {
  if (seen.has(path)) return seen;
  seen.add(path);
  for (const target of imports.get(path) ?? []) reachOf(target, imports, seen);
  return seen;
}
