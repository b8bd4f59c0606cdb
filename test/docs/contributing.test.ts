/**
 * `docs/contributing.md` followed to the letter in a copy of the repository: each block that names a
 * file is applied, the generated pages are written again, and then types, the house rules and the
 * tests that the page adds must pass (the lane `page`, or `NAVARCH_DOCS=1`; about a minute).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { copyTree } from "../scratch-copy.ts";
import { applyChange, changesOf } from "./apply.ts";

const page = readFileSync(join(ROOT, "docs/contributing.md"), "utf8");
const changes = changesOf(page);

const readAt = (root: string, path: string): string | null =>
  existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : null;

test("each of the four is shown with a test of its own", () => {
  const added = changes.filter(({ kind }) => kind === "new").map(({ path }) => path);
  for (const room of ["agent/probe/", "cli/command/", "reconciler/provider/"]) {
    expect([room, added.some((path) => path.startsWith(room))]).toEqual([room, true]);
  }
  expect(changes.some(({ path }) => path.startsWith("schema/config"))).toBe(true);
  expect(added.filter((path) => path.endsWith(".test.ts"))).toHaveLength(4);
});

test("every block fits the repository as it is", () => {
  const files = new Map<string, string | null>();
  for (const change of changes) {
    const before = files.get(change.path) ?? readAt(ROOT, change.path);
    files.set(change.path, applyChange(change, before));
  }
});

describe("applyChange()", () => {
  const [diff] = changesOf("```diff file=a.ts\n one\n+two\n@@\n-three\n+four\n```\n");
  if (diff === undefined) throw new Error("no block");

  test("adds and replaces where the hunk fits", () => {
    expect(applyChange(diff, "one\nx\nthree\n")).toBe("one\ntwo\nx\nfour\n");
  });

  test("refuses a hunk that fits nowhere, or twice, and a file that is not there", () => {
    expect(() => applyChange(diff, "one\nx\n")).toThrow("line 1, a.ts: fits at 0 places");
    expect(() => applyChange(diff, "one\none\nthree\n")).toThrow("fits at 2 places");
    expect(() => applyChange(diff, null)).toThrow("there is no such file");
  });
});

const RUN = process.env["NAVARCH_LANE"] === "page" || process.env["NAVARCH_DOCS"] === "1";

describe.skipIf(!RUN)("in a copy of the repository", () => {
  let copy = "";
  const run = (...command: string[]) => {
    const ran = Bun.spawnSync(command, { cwd: copy, stdout: "pipe", stderr: "pipe" });
    return { code: ran.exitCode, said: `${ran.stdout}${ran.stderr}`.slice(-4_000) };
  };
  const isDone = expect.objectContaining({ code: 0 });
  beforeAll(() => {
    copy = copyTree("navarch-contributing-");
    // The house rules ask git which files there are.
    run("git", "init", "-q");
    for (const change of changes) {
      const path = join(copy, change.path);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, applyChange(change, readAt(copy, change.path)));
    }
    run("git", "add", "-A");
  });
  afterAll(() => rmSync(copy, { recursive: true, force: true }));

  test("the generated pages are written again, and name the command and the key", () => {
    expect(run("npm", "run", "docs")).toEqual(isDone);
    expect(readAt(copy, "docs/cli.md")).toContain("navarch ping");
    expect(run(process.execPath, "test", "test/docs/generated.test.ts")).toEqual(isDone);
  }, 180_000);

  test("types are right", () => {
    expect(run("npx", "--no-install", "tsc", "--noEmit")).toEqual(isDone);
  }, 240_000);

  test("the house rules are kept", () => {
    expect(run(process.execPath, "test", "--timeout=60000", "test/tidy.test.ts")).toEqual(isDone);
  }, 240_000);

  test("the tests that the page adds pass", () => {
    const tests = changes.map(({ path }) => path).filter((path) => path.endsWith(".test.ts"));
    expect(run(process.execPath, "test", ...tests)).toEqual(isDone);
  }, 180_000);
});
