/** Each promise about Slurm, S1 to S56, has a test that names it. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { Glob } from "bun";

const ROOT = join(import.meta.dir, "../..");
const ROWS = Array.from({ length: 56 }, (_, i) => `S${i + 1}`);
/** What begins the name of a test: `S7: …`, `A9, S35: …`. */
const NAMED = /["'`]((?:[A-Z]+\d+[a-z]?, )*[A-Z]+\d+[a-z]?): /g;

async function namedRows(): Promise<Set<string>> {
  const named = new Set<string>();
  for (const pattern of ["**/*.test.ts", "**/*.contract.ts"]) {
    for await (const path of new Glob(pattern).scan({ cwd: ROOT })) {
      if (/(^|\/)(node_modules|dist|build)\//.test(path)) continue;
      const text = await Bun.file(join(ROOT, path)).text();
      // Other promises are counted by letter and number too.
      if (!/slurm|slinky|munge/i.test(text)) continue;
      for (const [, rows = ""] of text.matchAll(NAMED)) {
        for (const row of rows.split(", ")) named.add(row);
      }
    }
  }
  return named;
}

test("each row about Slurm is named by a test", async () => {
  const named = await namedRows();
  expect(ROWS.filter((row) => !named.has(row))).toEqual([]);
});
