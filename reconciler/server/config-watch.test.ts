import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { digestOf, watchConfig } from "./config-watch.ts";

let folder = "";
let path = "";
let policy = "";
// Each test has its own, so that it can be run again in one process.
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "navarch-config-watch-"));
  path = join(folder, "navarch.yaml");
  policy = join(folder, "policy.yaml");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function openStory(problems: () => string[]) {
  writeFileSync(path, "pools: []\n");
  writeFileSync(policy, "rules: []\n");
  const clock = new VirtualClock();
  const told: string[] = [];
  const stale: boolean[] = [];
  const paths = [path, policy];
  watchConfig(paths, await digestOf(paths), {
    clock,
    log: (level, msg, fields) => told.push(`${level} ${msg} ${JSON.stringify(fields ?? {})}`),
    check: async () => problems(),
    stale: (isStale) => stale.push(isStale),
  });
  /** To the next look, and until it is over. */
  const look = async (): Promise<boolean | undefined> => {
    const before = stale.length;
    await clock.pass(30_000);
    while (stale.length === before) await Bun.sleep(1);
    for (let turn = 0; turn < 5; turn += 1) await Bun.sleep(1);
    return stale.at(-1);
  };
  return { told, look };
}

test("watchConfig() tells once that a file has changed, and that it is as before", async () => {
  const { told, look } = await openStory(() => []);
  expect(await look()).toBe(false);
  writeFileSync(policy, "rules: [x]\n");
  expect(await look()).toBe(true);
  expect(await look()).toBe(true);
  expect(told).toEqual([
    expect.stringMatching(/^warn the configuration has changed .*: restart to apply it .*policy/),
  ]);
  writeFileSync(policy, "rules: []\n");
  expect(await look()).toBe(false);
  expect(told[1]).toStartWith("info configuration files match the running one again");
});

test("watchConfig() says that a restart would fail, with the first problems", async () => {
  const { told, look } = await openStory(() => ["1:1: pools: expected a list"]);
  rmSync(path);
  expect(await look()).toBe(true);
  expect(told).toEqual([expect.stringMatching(/^error .*a restart would fail .*expected a list/)]);
});

// As the kubelet renews a ConfigMap: a link to a folder that is put in place at once.
test("digestOf() follows a link that is replaced, and reads no pipe", async () => {
  const a = join(folder, "a");
  const b = join(folder, "b");
  const link = join(folder, "link");
  writeFileSync(a, "1");
  writeFileSync(b, "2");
  symlinkSync(a, link);
  const before = await digestOf([link]);
  symlinkSync(b, `${link}.new`);
  renameSync(`${link}.new`, link);
  expect(await digestOf([link])).not.toBe(before);
  const pipe = join(folder, "pipe");
  expect(Bun.spawnSync(["mkfifo", pipe]).exitCode).toBe(0);
  expect(await digestOf([pipe])).toBe(await digestOf([join(folder, "missing")]));
  // One file's end is not the next one's beginning.
  writeFileSync(a, "12");
  writeFileSync(b, "3");
  const apart = await digestOf([a, b]);
  writeFileSync(a, "1");
  writeFileSync(b, "23");
  expect(await digestOf([a, b])).not.toBe(apart);
});
