/**
 * `bun run test/sim/mutation/main.ts [name …] [--figures FILE]`: builds each fault of `list.ts`
 * into a scratch copy of this working tree and runs the test that must fail. Exit 1 if one passes,
 * or if a test fails without any fault. Nothing of the working tree is touched.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { copyTree } from "../../scratch-copy.ts";
import { MUTATIONS, type Mutation } from "./list.ts";

const { values, positionals: wanted } = parseArgs({
  options: { figures: { type: "string" } },
  allowPositionals: true,
});
const chosen = MUTATIONS.filter(
  ({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)),
);

/** How the test ended, and the end of what it said. */
function run(scratch: string, { file, name }: Mutation["test"]): { ok: boolean; said: string } {
  const done = Bun.spawnSync([process.execPath, "test", file, "-t", name, "--bail"], {
    cwd: scratch,
    stdout: "pipe",
    stderr: "pipe",
  });
  const said = `${done.stdout.toString()}${done.stderr.toString()}`;
  const ran = / (\d+) pass/.test(said) && !/ 0 pass\n\s*0 fail/.test(said);
  return { ok: done.exitCode === 0 && ran, said };
}

function patch(scratch: string, { name, patches }: Mutation): () => void {
  const before = new Map<string, string>();
  for (const { file, from, to } of patches) {
    const path = join(scratch, file);
    const text = readFileSync(path, "utf8");
    if (!before.has(path)) before.set(path, text);
    if (text.split(from).length !== 2) throw new Error(`${name}: not exactly once in ${file}`);
    writeFileSync(
      path,
      text.replace(from, () => to),
    );
  }
  return () => {
    for (const [path, text] of before) writeFileSync(path, text);
  };
}

const scratch = copyTree("navarch-mutate-");
let bad = 0;
/** By mutation: what caught it. */
const fates = new Map<string, string>();
try {
  const tests = new Map(chosen.map(({ test }) => [`${test.file} -t "${test.name}"`, test]));
  for (const [line, test] of tests) {
    const { ok, said } = run(scratch, test);
    if (ok) continue;
    bad++;
    console.error(`fails without any fault: ${line}\n${said.slice(-2_000)}`);
  }
  for (const mutation of bad === 0 ? chosen : []) {
    const undo = patch(scratch, mutation);
    const { ok, said } = run(scratch, mutation.test);
    undo();
    if (ok) bad++;
    fates.set(
      mutation.name,
      ok ? "missed" : `caught by ${mutation.test.file} ${mutation.test.name}`,
    );
    const why = /Received: (.*)/.exec(said)?.[1] ?? /^\+ (?!Received)(.+)/m.exec(said)?.[1] ?? "";
    console.log(`${ok ? "MISSED" : "caught"}  ${mutation.name}  ${ok ? "" : why.slice(0, 160)}`);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
if (values.figures !== undefined) {
  const told = { mutations: chosen.length, missed: bad, ...Object.fromEntries(fates) };
  writeFileSync(values.figures, JSON.stringify(told));
}
process.exit(bad === 0 ? 0 : 1);
