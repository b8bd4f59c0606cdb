/** The seed of a run: which it is, and that it reaches fast-check through the preload. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { drawSeed, FIXED_SEED } from "./seed.ts";

const ROOT = join(import.meta.dir, "..");

test("this run draws as its environment asks", () => {
  expect(fc.readConfigureGlobal().seed).toBe(FIXED_SEED ?? undefined);
  console.log(`drawn: ${fc.sample(fc.nat(), 5).join()} ${drawSeed()}`);
});

async function run(env: Record<string, string>): Promise<string> {
  const command = [process.execPath, "test", import.meta.path, "-t", "this run draws"];
  const { CI, FUZZ_SEED, ...rest } = process.env;
  const child = Bun.spawn(command, { cwd: ROOT, env: { ...rest, ...env }, stderr: "pipe" });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  return /drawn: .+/.exec(out)?.[0] ?? err;
}

test("CI=true gives every run the same draws, and FUZZ_SEED those of its seed", async () => {
  const fixed = await run({ CI: "true" });
  expect(fixed).toMatch(/^drawn: [\d,]+ 20261123$/);
  expect(await run({ CI: "true" })).toBe(fixed);
  expect(await run({ FUZZ_SEED: "20261123" })).toBe(fixed);
  expect(await run({ CI: "true", FUZZ_SEED: "-5" })).toMatch(/^drawn: [\d,]+ -5$/);
});

test("anywhere else each run has other draws", async () => {
  const [one, other] = [await run({}), await run({ CI: "false" })];
  expect([one, other]).toEqual([
    expect.stringMatching(/^drawn: /),
    expect.stringMatching(/^drawn: /),
  ]);
  expect(one).not.toBe(other);
});

test("a FUZZ_SEED that is no whole number stops the run with the reason", async () => {
  expect(await run({ FUZZ_SEED: "1:2" })).toContain("FUZZ_SEED=1:2: expected a whole number");
});
