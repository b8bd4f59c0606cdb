/** `navarch provider check` with real programs: the shipped example, and ones that misbehave. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { openMemoryCloud } from "../../reconciler/provider/fake/memory.ts";
import { LAMBDA_KEY, serveLambda } from "../fixture/cloud/lambda-server.ts";
import { json, navarch } from "./spawn.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-provider-check-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const EXAMPLE = join(ROOT, "deploy/example/command-provider.mjs");
let count = 0;

function configOf(command: string, more = "class: name"): string {
  const path = join(folder, `${(count += 1)}.yaml`);
  const provider = `{ type: command, ${more}, command: ${JSON.stringify(command)} }`;
  writeFileSync(
    path,
    `server: { address: "127.0.0.1:1" }\nproviders: { mine: ${provider} }\npools: []\n`,
  );
  return path;
}

/** The example, with one piece of its source replaced. */
function broken(from: string, to: string): { config: string; cloud: string } {
  const program = join(folder, `${(count += 1)}.mjs`);
  const source = readFileSync(EXAMPLE, "utf8");
  expect(source.split(from)).toHaveLength(2);
  writeFileSync(program, source.replace(from, to));
  chmodSync(program, 0o755);
  const cloud = join(folder, `cloud-${count}`);
  return { config: configOf(`${program} ${cloud}`), cloud };
}

type Row = { check: string; outcome: string; message: string };
async function check(config: string, ...more: string[]) {
  const words = ["provider", "check", "mine", "--config", config, "-o", "json", ...more];
  const { code, out, err } = await navarch(words);
  return { code, err, rows: out === "" ? [] : (json(out) as Row[]) };
}
const BUY = ["--buy", "h100-8x", "--yes"];
const failed = (rows: readonly Row[]) => rows.filter(({ outcome }) => outcome === "fail");

describe("navarch provider check", () => {
  test("the shipped example keeps every promise, and nothing is left of it", async () => {
    const cloud = join(folder, "cloud");
    const { code, rows } = await check(configOf(`${EXAMPLE} ${cloud}`), ...BUY);
    expect(rows.map(({ outcome, check: what }) => `${outcome} ${what}`)).toEqual([
      "ok list",
      "ok create",
      "ok repeat",
      "ok listed",
      "ok price",
      "ok terminate",
      "ok ended",
    ]);
    expect(code).toBe(0);
    const left = readdirSync(cloud).map((file) => readFileSync(join(cloud, file), "utf8"));
    expect(left).toHaveLength(1);
    expect(left[0]).toContain('"state":"terminated"');
  });

  test("buys nothing without --buy, and nothing unasked", async () => {
    const cloud = join(folder, "quiet");
    const config = configOf(`${EXAMPLE} ${cloud}`);
    expect((await check(config)).rows.map((row) => row.check)).toEqual(["list"]);
    const unasked = await check(config, "--buy", "h100-8x");
    expect([unasked.code, unasked.err]).toEqual([2, expect.stringContaining("--yes")]);
    expect(readdirSync(cloud)).toEqual([]);
  });

  test("notices a second instance for a repeated request, and ends both", async () => {
    const { config, cloud } = broken("    id: name,\n", "    id: `${name}-${process.pid}`,\n");
    const source = readFileSync(config, "utf8").match(/"(\S+\.mjs) /)?.[1] ?? "";
    const text = readFileSync(source, "utf8").replaceAll(
      "fileOf(name), JSON",
      "fileOf(instance.id), JSON",
    );
    writeFileSync(source, text);
    const { code, rows } = await check(config, ...BUY);
    expect(code).toBe(1);
    expect(failed(rows)[0]?.message).toContain("bought a second instance");
    const states = readdirSync(cloud).map((file) => readFileSync(join(cloud, file), "utf8"));
    expect(states).toHaveLength(2);
    for (const state of states) expect(state).toContain('"state":"terminated"');
  });

  test("notices tags that the list lacks", async () => {
    const { config } = broken("    tags,\n", "    tags: { ...tags, 'navarch-slot': 'x' },\n");
    const { code, rows } = await check(config, ...BUY);
    expect(code).toBe(1);
    expect(failed(rows)).toEqual([
      { check: "tags", outcome: "fail", message: "the list lacks navarch-slot" },
    ]);
  });

  test("an instance that cannot be ended is named, because it is billed", async () => {
    const { config } = broken("  reply({ accepted: true });", '  fail("auth", "no permission");');
    const { code, rows } = await check(config, ...BUY);
    expect(code).toBe(1);
    expect(failed(rows)[0]?.message).toMatch(/no permission; navarch-check-\w+ is billed/);
  });

  test("a program that cannot be used is a failed list that says why", async () => {
    const { code, rows } = await check(configOf(join(folder, "missing")));
    expect(code).toBe(1);
    expect(failed(rows)[0]?.message).toContain("could not be started (ENOENT)");
  });

  test("Lambda Cloud's API keeps what its class promises, at the account's rate", async () => {
    const after = (ms: number, work: () => void) => void setTimeout(work, ms);
    const clock = { wallMs: () => Date.now(), after };
    const fleetId = "navarch-check";
    const cloud = openMemoryCloud({ clock, random: () => 0.5, fleetId, class: "tag-only" });
    const standIn = serveLambda(cloud);
    try {
      const path = join(folder, "lambda.yaml");
      const rate = "rate_limit: { requests_per_second: 100, launch_interval: 1ms }";
      const provider = `{ endpoint: "${standIn.url}", ${rate} }`;
      const server = 'server: { address: "127.0.0.1:1" }';
      writeFileSync(path, `${server}\nproviders: { lambda: ${provider} }\npools: []\n`);
      const words = ["provider", "check", "lambda", "--config", path, "-o", "json"];
      const bare = await navarch(words);
      expect([bare.code, bare.err]).toEqual([1, expect.stringContaining("set LAMBDA_API_KEY")]);
      const buy = ["--buy", "h100x8", "--region", "us-west-2", "--yes"];
      const { code, out } = await navarch([...words, ...buy], { LAMBDA_API_KEY: LAMBDA_KEY });
      expect([code, failed(json(out) as Row[])]).toEqual([0, []]);
      expect(out).toContain("not tried: class tag-only");
      expect(cloud.reality()).toMatchObject({ live: [], terminated: [{ state: "terminated" }] });
      const wrong = await navarch(words, { LAMBDA_API_KEY: "wrong-key" });
      expect(wrong.out).toContain("auth: ");
      expect(wrong.out + wrong.err).not.toContain("wrong-key");
      expect(standIn.violations).toEqual([]);
    } finally {
      await standIn.stop();
      await cloud.close();
    }
  }, 30_000);

  test("an unknown provider is answered with the nearest name", async () => {
    const config = configOf(EXAMPLE);
    const { code, err } = await navarch(["provider", "check", "mne", "--config", config]);
    expect([code, err]).toEqual([2, expect.stringContaining('did you mean "mine"?')]);
  });

  test("config validate warns of a program that is missing or not executable", async () => {
    const missing = await navarch(["config", "validate", configOf(join(folder, "missing"))]);
    expect(missing.err).toContain("providers.mine.command: warning");
    expect(missing.err).toContain("no such file");
    const plain = join(folder, "plain.txt");
    writeFileSync(plain, "x", { mode: 0o644 });
    const idle = await navarch(["config", "validate", configOf(plain)]);
    expect(idle.err).toContain("is not executable");
    const relative = await navarch(["config", "validate", configOf("bin/provider")]);
    expect(relative.code).toBe(2);
    expect(relative.err).toContain("expected the absolute path of a program");
  });
});
