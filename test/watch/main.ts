/**
 * `npm run watch [-- --once]`: checks the types and runs the unit tests that reach what differs
 * from the last commit, the nearest first, and again after each saved file until Ctrl-C. What
 * failed is run again with the next change. With `--once` it ends, with 1 if something failed.
 */
import { readFileSync, watch } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { importsOf } from "../mutant/select.ts";
import { listTree } from "../scratch-copy.ts";
import { nearest } from "./near.ts";

const ROOT = join(import.meta.dir, "../..");
const TESTS_MAX = 30;
/** An editor writes several files, and some of them twice. */
const QUIET_MS = 150;
const IGNORED = /^(?:\.git|node_modules|dist)(?:\/|$)/;

const { values } = parseArgs({ options: { once: { type: "boolean", default: false } } });

let running: Bun.Subprocess | null = null;
let saved: PromiseWithResolvers<void> = Promise.withResolvers();
const changed = new Set(differing());

async function passes(command: string[]): Promise<boolean> {
  const child = Bun.spawn(command, { cwd: ROOT, stdout: "inherit", stderr: "inherit" });
  running = child;
  const code = await child.exited;
  running = null;
  return code === 0;
}

function differing(): string[] {
  const words = ["diff", "--name-only", "-z", "HEAD"];
  const listed = Bun.spawnSync(["git", ...words], { cwd: ROOT }).stdout.toString();
  const fresh = ["ls-files", "--others", "--exclude-standard", "-z"];
  const untracked = Bun.spawnSync(["git", ...fresh], { cwd: ROOT }).stdout.toString();
  return `${listed}${untracked}`.split("\0").filter((path) => path !== "");
}

async function checkTypes(): Promise<boolean> {
  const isFine = await passes([join(ROOT, "node_modules/.bin/tsc"), "--noEmit"]);
  console.log(isFine ? "types: fine" : "types: failed");
  return isFine;
}

async function runTests(asked: ReadonlySet<string>): Promise<boolean> {
  const tree = listTree().filter((path) => path.endsWith(".ts"));
  const imports = importsOf(tree, (path) => readFileSync(join(ROOT, path), "utf8"));
  const { tests, left } = nearest(asked, imports, TESTS_MAX);
  const more = left === 0 ? "" : ` of ${tests.length + left}; the others: npm test`;
  console.log(`${tests.length} test files reach ${asked.size} changed files${more}`);
  if (tests.length === 0) return true;
  return passes([
    "sh",
    "build/bun.sh",
    "test",
    "--only-failures",
    ...tests.map((path) => `./${path}`),
  ]);
}

if (!values.once) {
  watch(ROOT, { recursive: true }, (_event, path) => {
    if (path === null || IGNORED.test(path)) return;
    changed.add(path);
    running?.kill();
    saved.resolve();
  });
}
let failed: ReadonlySet<string> = new Set();
for (;;) {
  saved = Promise.withResolvers();
  const asked = new Set([...failed, ...changed]);
  changed.clear();
  const isFine = (await checkTypes()) && (await runTests(asked));
  if (values.once) process.exit(isFine ? 0 : 1);
  failed = isFine ? new Set() : asked;
  if (changed.size === 0) await saved.promise;
  await Bun.sleep(QUIET_MS);
}
