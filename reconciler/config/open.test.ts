/** Files that cannot be read are problems, told like any other. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openConfig, openPolicy } from "./open.ts";
import { formatProblem } from "./problem.ts";

const DIR = mkdtempSync(join(tmpdir(), "config-open-"));
afterAll(() => rmSync(DIR, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(DIR, name);
  writeFileSync(path, content);
  return path;
}

const GOOD = "pools: [{name: p, provider: fake, instance_type: t, min_nodes: 0, max_nodes: 1}]\n";

describe("openConfig()", () => {
  test("reads files from disk, later over earlier", async () => {
    const paths = [file("a.yaml", GOOD), file("b.yaml", "pools: {p: {max_nodes: 7}}\n")];
    const { config } = await openConfig(paths);
    expect(config?.pools[0]?.scaling.maxNodes).toBe(7);
  });

  test("answers a missing file, a folder and bytes that are no text as problems", async () => {
    const bad = file("bad.yaml", new Uint8Array([0x61, 0xff, 0xfe]));
    const { config, problems } = await openConfig([join(DIR, "none.yaml"), DIR, bad]);
    expect(config).toBeNull();
    expect(problems.map(formatProblem)).toEqual([
      `${DIR}/none.yaml:1:1: no such file`,
      `${DIR}:1:1: is a directory`,
      `${bad}:1:1: not UTF-8 text`,
    ]);
  });

  test("still tells the syntax errors of the files that could be read", async () => {
    const { problems } = await openConfig([join(DIR, "none.yaml"), file("c.yaml", "a: [")]);
    expect(problems.map((problem) => problem.code)).toEqual(["missing", "syntax"]);
  });

  test("refuses a file that is too large", async () => {
    const path = file("large.yaml", new Uint8Array(4 * 1024 * 1024 + 1).fill(0x20));
    expect((await openConfig([path])).problems[0]?.message).toBe("the file is too large");
  });
});

describe("openPolicy()", () => {
  test("tells a missing file from a bad one", async () => {
    expect(await openPolicy(join(DIR, "none.yaml"))).toMatchObject({ policy: null, missing: true });
    const bad = await openPolicy(file("policy.yaml", "rules: []\n"));
    expect(bad).toMatchObject({ policy: null, missing: false });
    expect(bad.problems.length).toBe(1);
  });
});
