/**
 * Which mutants the compiler refuses: those are no faults that could be committed. Many are built
 * in at once, one in each file, because a compiler start takes seconds.
 * Adapter: runs tsc in a copy.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { replaceBy } from "./instrument.ts";
import type { Candidate } from "./sample.ts";

/** A name left unused or a line cut off by a fault does not mean that anything notices it. */
const FORGIVEN = [
  ...["--noUnusedLocals", "false", "--noUnusedParameters", "false"],
  ...["--allowUnreachableCode", "true", "--allowUnusedLabels", "true"],
];

/** Files with an error, relative to the copy. */
function compile(copy: string): Set<string> {
  const tsc = join(copy, "node_modules/.bin/tsc");
  const command = [tsc, "--noEmit", "--pretty", "false", ...FORGIVEN];
  const done = Bun.spawnSync(command, { cwd: copy });
  const lines = done.stdout.toString().split("\n");
  return new Set(lines.flatMap((line) => /^(\S+?)\(\d+,\d+\): error/.exec(line)?.[1] ?? []));
}

/** Those of `mutants` that the compiler refuses; `copy` is the tree without any. */
export function findRefused<Item extends Candidate>(
  copy: string,
  mutants: readonly Item[],
): Set<Item> {
  const before = compile(copy);
  if (before.size > 0) throw new Error(`does not compile without a mutant: ${[...before]}`);
  const refused = new Set<Item>();
  const rows = [...Map.groupBy(mutants, ({ file }) => file).values()];
  for (let turn = 0; ; turn += 1) {
    const batch = rows.flatMap((row) => row.slice(turn, turn + 1));
    if (batch.length === 0) return refused;
    for (const item of judge(copy, batch)) refused.add(item);
    console.error(`types: ${refused.size} refused after turn ${turn + 1}`);
  }
}

/**
 * An error in a mutant's own file is its own. An error elsewhere may be anybody's: the batch is
 * halved until one is left.
 */
function judge<Item extends Candidate>(copy: string, batch: readonly Item[]): Item[] {
  if (batch.length === 0) return [];
  const wrong = tryAll(copy, batch);
  if (wrong.size === 0) return [];
  const own = batch.filter(({ file }) => wrong.has(file));
  if (own.length > 0) {
    const rest = batch.filter(({ file }) => !wrong.has(file));
    return [...own, ...judge(copy, rest)];
  }
  if (batch.length === 1) return [...batch];
  const half = Math.ceil(batch.length / 2);
  return [...judge(copy, batch.slice(0, half)), ...judge(copy, batch.slice(half))];
}

function tryAll(copy: string, batch: readonly Candidate[]): Set<string> {
  const undo = batch.map((mutant) => {
    const path = join(copy, mutant.file);
    const source = readFileSync(path, "utf8");
    writeFileSync(path, replaceBy(source, mutant));
    return () => writeFileSync(path, source);
  });
  try {
    return compile(copy);
  } finally {
    for (const restore of undo) restore();
  }
}
