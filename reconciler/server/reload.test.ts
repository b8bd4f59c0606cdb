import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import type { Loaded } from "../core/reload.ts";
import type { Adopter, How } from "./adopt.ts";
import { load } from "./load.ts";
import { digestOf, Reloads } from "./reload.ts";

let folder = "";
let path = "";
let policy = "";
// Each test has its own, so that it can be run again in one process.
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "navarch-reload-"));
  path = join(folder, "navarch.yaml");
  policy = join(folder, "policy.yaml");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const RULE = "{ name: all, condition: 'true', result: healthy }";
const policyOf = (name: string): string =>
  `version: v1\nmetadata: { name: ${name} }\nrules: [${RULE.replace("all", name)}]\n`;
const yamlOf = (nodes: number, more = ""): string =>
  `server: { health_policy_path: ${policy}${more} }\n` +
  "pools:\n  - { name: a, provider: fake, instance_type: t, " +
  `scaling: { min_nodes: 0, max_nodes: ${nodes} } }\n`;

/** The production reload of real files, with a role that only records. */
async function openStory(given: { refuse?: () => string[]; removesPools?: boolean } = {}) {
  writeFileSync(path, yamlOf(1));
  writeFileSync(policy, policyOf("first"));
  const clock = new VirtualClock();
  const told: string[] = [];
  const stale: boolean[] = [];
  const asked: How[] = [];
  const options = { portZero: false, externalAddress: false, around: { env: {} } };
  const loadNow = () => load([path], options);
  const first = await loadNow();
  if (!first.ok) throw new Error(first.lines.join("\n"));
  let loaded: Loaded = first.loaded;
  const adopter: Adopter = {
    loaded: () => loaded,
    isUnsettled: () => false,
    async adopt(next, how) {
      asked.push(how);
      const refused = given.refuse?.() ?? [];
      if (refused.length === 0) loaded = next;
      return refused;
    },
  };
  const reloads = new Reloads({
    clock,
    log: (level, msg, fields) => told.push(`${level} ${msg} ${JSON.stringify(fields ?? {})}`),
    paths: [path],
    loaded,
    load: loadNow,
    adopter: () => adopter,
    applied: () => undefined,
    seen: (_reload, isStale) => stale.push(isStale),
    removesPools: given.removesPools === true,
  });
  await reloads.start();
  /** `ms` on the reload's clock, with the files read in between. */
  const pass = async (ms: number): Promise<void> => {
    for (let i = 0; i < ms; i += 500) {
      await clock.pass(500);
      // A look has no timer while it reads; the next one is set at its end.
      for (let turn = 0; turn < 2 || clock.nextMs() === null; turn += 1) await Bun.sleep(1);
    }
  };
  const max = (): number | undefined => loaded.config.pools[0]?.scaling.maxNodes;
  await pass(5_000);
  asked.length = 0;
  told.length = 0;
  return { reloads, told, stale, asked, pass, max, config: () => loaded };
}

describe("Reloads", () => {
  test("takes a changed file once, and not while it is written", async () => {
    const { pass, max, asked, told, reloads } = await openStory();
    await pass(60_000);
    expect(asked).toEqual([]);
    writeFileSync(path, yamlOf(4));
    await pass(2_000);
    writeFileSync(path, yamlOf(5));
    await pass(1_500);
    expect([max(), reloads.isStale()]).toEqual([1, true]);
    await pass(4_000);
    expect([max(), asked.length, reloads.isStale()]).toEqual([5, 1, false]);
    expect(told).toEqual([
      expect.stringMatching(/^info configuration reloaded .*a change of the files.*"changed":1/),
    ]);
  });

  test("takes a changed policy, and another policy file", async () => {
    const { pass, config } = await openStory();
    const { hash } = config().policy.policy;
    writeFileSync(policy, policyOf("second"));
    await pass(6_000);
    expect(config().policy.policy.hash).not.toBe(hash);
    policy = join(folder, "third.yaml");
    writeFileSync(policy, policyOf("third"));
    writeFileSync(path, yamlOf(1));
    await pass(6_000);
    expect(config().policy.policy.name).toBe("third");
    writeFileSync(policy, policyOf("fourth"));
    await pass(6_000);
    expect(config().policy.policy.name).toBe("fourth");
  });

  test("quotes no secret of a wrong file", async () => {
    const { reloads, told } = await openStory();
    const secret = `Bearer ${"s3cr3t".repeat(4)}`;
    writeFileSync(path, yamlOf(1).replace("min_nodes: 0", `min_nodes: "${secret}"`));
    const { outcome, problems } = await reloads.reload("SIGHUP");
    expect([outcome, problems.length]).toEqual(["invalid", 1]);
    expect(JSON.stringify([problems, told])).not.toContain("s3cr3t");
  });

  test("keeps the running policy while its file is missing", async () => {
    const { pass, config, reloads } = await openStory();
    const { hash } = config().policy.policy;
    rmSync(policy);
    await pass(6_000);
    expect([config().policy.policy.hash, reloads.last()?.outcome]).toEqual([hash, "invalid"]);
    expect(reloads.last()?.problems).toEqual([expect.stringContaining("the running one stays")]);
    writeFileSync(policy, policyOf("second"));
    await pass(6_000);
    expect(config().policy.policy.name).toBe("second");
  });

  test("keeps what runs while a file is wrong, says it once, and goes on once fixed", async () => {
    const { pass, max, told, reloads, asked } = await openStory();
    writeFileSync(path, `${yamlOf(3)}x: 1\n`);
    await pass(70_000);
    expect([max(), reloads.last()?.outcome, reloads.isStale()]).toEqual([1, "invalid", true]);
    expect(reloads.last()?.problems).toEqual([
      expect.stringMatching(/navarch\.yaml:4:1: x: unknown field/),
    ]);
    expect(told.length).toBe(1);
    expect(told[0]).toMatch(/^error the configuration on disk is not in force, the running one/);
    rmSync(path);
    await pass(6_000);
    expect(reloads.last()?.problems).toEqual([expect.stringContaining("no such file")]);
    expect(asked).toEqual([]);
    writeFileSync(path, yamlOf(3));
    await pass(6_000);
    expect([max(), reloads.isStale()]).toEqual([3, false]);
  });

  test("a refused file is tried again, because the reason may pass by itself", async () => {
    let reasons = ["pool b: 1 node"];
    const { pass, max, told, reloads } = await openStory({ refuse: () => reasons });
    reasons = ["pool b: 1 node"];
    writeFileSync(path, yamlOf(2));
    await pass(70_000);
    expect([max(), reloads.last()?.outcome]).toEqual([1, "refused"]);
    expect(told.filter((line) => line.startsWith("error")).length).toBeLessThanOrEqual(1);
    reasons = [];
    await pass(35_000);
    expect([max(), reloads.last()?.outcome]).toEqual([2, "applied"]);
  });

  test("requests that wait share one run, with or without the permission", async () => {
    const { reloads, asked } = await openStory();
    writeFileSync(path, yamlOf(7));
    const all = await Promise.all([
      ...Array.from({ length: 50 }, () => reloads.reload("SIGHUP")),
      ...Array.from({ length: 50 }, () => reloads.reload("admin", true)),
    ]);
    expect(asked.map(({ removesPools }) => removesPools)).toEqual([false, true]);
    expect(new Set(all.map(({ outcome }) => outcome))).toEqual(new Set(["applied", "unchanged"]));
  });

  test("keeps the values of keys that take a restart, and names them once", async () => {
    const { pass, config, told, reloads, max } = await openStory();
    writeFileSync(path, yamlOf(2, ", address: ':9', tls: { own_ca: true }"));
    await pass(6_000);
    const { port, tls } = config().config.server;
    expect([port, tls, max()]).toEqual([50_051, null, 2]);
    expect(reloads.last()?.restart).toEqual(["server.address", "server.tls"]);
    expect(reloads.isStale()).toBe(true);
    await pass(40_000);
    expect(told.filter((line) => line.startsWith("warn")).length).toBe(1);
  });

  test("an effect that fails leaves what runs, and is tried again", async () => {
    let works = true;
    const { pass, max, reloads } = await openStory({
      refuse() {
        if (works) return [];
        throw new Error("no route to the database");
      },
    });
    works = false;
    writeFileSync(path, yamlOf(2));
    expect(await reloads.reload("SIGHUP")).toMatchObject({
      outcome: "failed",
      problems: ["no route to the database"],
    });
    works = true;
    await pass(35_000);
    expect(max()).toBe(2);
  });

  test("the permission of the start counts for files that stay the same for two minutes", async () => {
    const { pass, asked, reloads } = await openStory({ removesPools: true });
    const permits = () => asked.splice(0).map(({ removesPools }) => removesPools);
    await pass(100_000);
    expect(permits()).toEqual([]);
    await pass(60_000);
    expect(permits()).toEqual([true]);
    await pass(120_000);
    expect(permits()).toEqual([]);
    writeFileSync(path, yamlOf(2));
    await pass(60_000);
    expect(permits()).toEqual([false]);
    await pass(100_000);
    expect(permits()).toEqual([true]);
    await reloads.reload("SIGHUP");
    await reloads.reload("admin", false);
    expect(permits()).toEqual([true, false]);
  }, 60_000);

  test("a pipe is read once only: a signal says so and changes nothing", async () => {
    const { reloads, asked } = await openStory();
    rmSync(path);
    expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
    const { outcome, problems } = await reloads.reload("SIGHUP");
    expect([outcome, problems[0]]).toEqual(["failed", expect.stringContaining("is not a file")]);
    expect(asked).toEqual([]);
  });
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
