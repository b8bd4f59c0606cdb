/**
 * Reloads of a real control plane with the fake cloud and its real agents: sizes, pools, wrong
 * files, signals in a storm, files that are swapped, and a kill in between. Asserts on what the
 * cloud's journal shows in the end.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ConfigDiffView, ConfigStatusView, ReloadView } from "../../schema/api-config.ts";
import { buildStale, cleanEnv, NAVARCH, Plane, until } from "../fixture/plane/plane.ts";
import { freePorts } from "./kubernetes/part.ts";

const pool = (name: string, nodes: number, more = ""): string =>
  `  - { name: ${name}, provider: fake, instance_type: t, ` +
  `scaling: { min_nodes: ${nodes}, max_nodes: 8 }, drain: { unknown_wait: 1s }${more} }\n`;
/** A fixed number, since `config diff` reads the same file, and 0 is for tests alone. */
const [PORT] = freePorts(1);

const yaml = (...pools: string[]): string =>
  `server: { address: 127.0.0.1:${PORT}, heartbeat_interval: 1s }\n` +
  "providers: { fake: { gpu_count: 1, boot_delay: 100ms, terminate_delay: 100ms, " +
  "price_per_hour: 2.5 } }\n" +
  `pools:${pools.length === 0 ? " []\n" : `\n${pools.join("")}`}`;

let plane: Plane;
const save = (text: string): void => {
  // As an editor: another file takes the name.
  writeFileSync(`${plane.config}.new`, text);
  renameSync(`${plane.config}.new`, plane.config);
};
const status = (): Promise<ConfigStatusView> => plane.get<ConfigStatusView>("/config/status");
const post = async (path: string, body: object = {}) => {
  const answer = await plane.fetch(`/api/v1/config/${path}`, {
    method: "POST",
    body: JSON.stringify(body),
  });
  return { status: answer.status, json: (await answer.json()) as unknown };
};
const reload = (body: object = {}) => post("reload", body);
const live = (): number => plane.reality().live.length;
/** Instances that ever existed. */
const made = (): number => live() + plane.reality().terminated.length;
const ofPool = async (name: string) =>
  (await plane.serving()).filter((node) => node.pool === name).length;
const inForce = (hash: string, limitMs = 15_000) =>
  until("another configuration is in force", limitMs, async () => {
    const now = await status();
    return now.hash === hash || now.stale ? null : now;
  });

beforeAll(async () => {
  await buildStale();
  plane = new Plane(yaml(pool("a", 1)));
  await plane.start();
  await plane.waitServing(1);
}, 300_000);

afterAll(async () => {
  expect(await plane?.destroy()).toEqual([]);
}, 60_000);

test("a changed file takes effect within seconds: a larger pool, and another pool", async () => {
  const { hash } = await status();
  const text = yaml(pool("a", 2), pool("b", 1));
  const answer = (await post("diff", {})).json as ConfigDiffView;
  expect(answer.changes).toEqual([]);
  save(text);
  await inForce(hash);
  await plane.waitServing(3);
  expect([await ofPool("a"), await ofPool("b"), live()]).toEqual([2, 1, 3]);
  expect(made()).toBe(3);
}, 90_000);

test("a wrong file keeps the running configuration, and says so everywhere", async () => {
  const { hash } = await status();
  const good = yaml(pool("a", 2), pool("b", 1));
  save(good.replace("max_nodes: 8", "max_nodes: 0"));
  const now = await until("it is noticed", 15_000, async () => {
    const one = await status();
    return one.last?.outcome === "invalid" ? one : null;
  });
  expect([now.hash, now.stale]).toEqual([hash, true]);
  expect(now.last?.problems[0]).toMatch(/navarch\.yaml:4:\d+: .*max_nodes: must be at least 1/);
  const metrics = await (await plane.fetch("/metrics")).text();
  expect(metrics).toMatch(/^navarch_config_stale 1$/m);
  expect(metrics).toMatch(/^navarch_config_reloads_total\{outcome="invalid"\} 1$/m);
  expect((await reload()).status).toBe(400);
  expect(plane.log()).toMatch(/"level":"error","msg":"the configuration on disk is not in force/);
  save(good);
  await until("it is well again", 15_000, async () => ((await status()).stale ? null : true));
  expect([(await status()).hash, live()]).toEqual([hash, 3]);
}, 60_000);

test("what takes a restart keeps its old value, and the rest is in force", async () => {
  const { hash } = await status();
  const text = yaml(pool("a", 2), pool("b", 1)).replace(
    "heartbeat_interval: 1s",
    "heartbeat_interval: 2s, external_address: nav.example.net:50051",
  );
  save(text);
  const answer = await reload();
  expect(answer.status).toBe(200);
  expect(answer.json).toMatchObject({ outcome: "applied", restart: ["server.external_address"] });
  const config = await plane.get<{ server: Record<string, unknown> }>("/config");
  expect(config.server["heartbeatIntervalMs"]).toBe(2_000);
  expect(config.server["externalAddress"]).toBeNull();
  save(yaml(pool("a", 2), pool("b", 1)));
  await until("it is as before", 15_000, async () =>
    (await status()).hash === hash ? true : null,
  );
}, 60_000);

test("a pool with nodes is removed only with the permission, and then emptied", async () => {
  const { hash } = await status();
  save(yaml(pool("a", 2)));
  const diff = (await post("diff")).json as ConfigDiffView;
  expect(diff.changes).toEqual([
    { key: "pools.b", before: "t at fake, 1 to 8 nodes", after: null, restart: false },
  ]);
  const refused = await reload();
  expect(refused.status).toBe(409);
  expect(refused.json).toMatchObject({
    error: {
      code: "conflict",
      message: expect.stringContaining("pool b: 1 node, $2.50 an hour, is missing from the file"),
      details: { outcome: "refused" },
    },
  });
  expect([(await status()).hash, await ofPool("b"), live()]).toEqual([hash, 1, 3]);
  const allowed = await reload({ allow_pool_removal: true });
  expect(allowed.json).toMatchObject({ outcome: "applied" });
  // Killed before its node is gone: the removal continues, though the file does not tell of it.
  await plane.kill();
  await plane.start();
  await until("the nodes of b are gone", 60_000, () => (live() === 2 ? true : null));
  await until("b is forgotten", 30_000, async () =>
    (await status()).removing.length === 0 ? true : null,
  );
  expect(await ofPool("a")).toBe(2);
  const again = (await reload({ allow_pool_removal: true })).json as ReloadView;
  expect(again.outcome).toBe("unchanged");
}, 120_000);

test("after a restart without a pool its nodes stay, and are ended only by permission", async () => {
  await plane.stop();
  save(yaml(pool("c", 1)));
  await plane.start();
  const now = await until("it says what is missing", 30_000, async () => {
    const one = await status();
    return one.orphaned.length > 0 ? one : null;
  });
  expect(now.orphaned).toEqual([
    { pool: "a", nodes: 2, message: "pool a: 2 nodes, $5.00 an hour" },
  ]);
  await plane.waitServing(3);
  expect(plane.log()).toContain("pool a: 2 nodes, $5.00 an hour, is not in the configuration");
  expect((await reload()).json).toMatchObject({ outcome: "unchanged" });
  expect(live()).toBe(3);
  expect((await reload({ allow_pool_removal: true })).status).toBe(200);
  await until("the nodes of a are gone", 60_000, () => (live() === 1 ? true : null));
}, 120_000);

test("a storm of signals and edits during purchases buys nothing twice", async () => {
  const before = made();
  // A pool keeps the size that it was made with, so the first one is in force before the storm.
  save(yaml(pool("c", 1), pool("d", 1)));
  plane.signal("SIGHUP");
  await plane.waitServing(2);
  for (let i = 0; i < 40; i += 1) {
    const size = 1 + Math.floor(i / 10);
    save(yaml(pool("c", size), pool("d", 1, `, labels: { round: r${i} }`)));
    plane.signal("SIGHUP");
    await Bun.sleep(20);
  }
  save(yaml(pool("c", 4), pool("d", 2)));
  plane.signal("SIGHUP");
  await plane.waitServing(6, 90_000);
  await until("the cloud has what is wanted", 60_000, () => (live() === 6 ? true : null));
  expect(made() - before).toBe(5);
  expect([plane.reality().doubles, plane.reality().overlaps]).toEqual([[], []]);
  expect((await status()).stale).toBe(false);
}, 150_000);

test("a link to a folder that is swapped, as a ConfigMap's, is a change of the file", async () => {
  const { hash } = await status();
  const at = (name: string): string => join(plane.state, name);
  const put = (folder: string, text: string): void => {
    mkdirSync(at(folder));
    writeFileSync(join(at(folder), "navarch.yaml"), text);
  };
  put("v1", yaml(pool("c", 4), pool("d", 2)));
  put("v2", yaml(pool("c", 4), pool("d", 1)));
  symlinkSync("v1", at("..data"));
  symlinkSync("..data/navarch.yaml", `${plane.config}.link`);
  renameSync(`${plane.config}.link`, plane.config);
  await Bun.sleep(5_000);
  expect((await status()).hash).toBe(hash);
  symlinkSync("v2", at("..data_tmp"));
  renameSync(at("..data_tmp"), at("..data"));
  await inForce(hash);
  await until("the smaller size is reached", 30_000, () => (live() === 5 ? true : null));
}, 60_000);

test("navarch config diff, reload and status: what they print at 80 columns, and their statuses", async () => {
  const token = join(plane.state, "admin.token");
  const run = async (...args: string[]) => {
    const env = { ...cleanEnv(), COLUMNS: "80" };
    const flags = ["--server", plane.url, "--token-file", token];
    const child = Bun.spawn([NAVARCH, ...args, ...flags], { env, stdout: "pipe", stderr: "pipe" });
    const [out, err] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    return { code: await child.exited, out, err };
  };
  const file = join(plane.state, "next.yaml");
  const gate = (): ReturnType<typeof run> => run("config", "diff", "--exit-code", file);
  writeFileSync(file, yaml(pool("c", 4), pool("d", 1)));
  expect(await gate()).toEqual({ code: 0, out: "No difference\n", err: "" });
  writeFileSync(file, yaml(pool("c", 2), pool("d", 1), pool("e", 1)));
  const grown = await gate();
  expect(grown.code).toBe(1);
  expect(grown.out).toMatch(/^pools\.c\.scaling\.min_nodes +4 +2$/m);
  expect(grown.out).toContain("  pool e: added: 1 node is bought\n");
  writeFileSync(file, yaml(pool("c", 4)));
  expect((await gate()).code).toBe(6);
  writeFileSync(file, "pools: [{ nam: x }]\n");
  const wrong = await gate();
  expect([wrong.code, wrong.out]).toEqual([2, ""]);
  expect(wrong.err).toMatch(/next\.yaml:1:11: pools\[0\]\.nam: unknown field/);
  const json = await run("config", "diff", "-o", "json");
  expect(JSON.parse(json.out)).toMatchObject({ changes: [], refused: [] });
  const same = await run("config", "reload");
  expect([same.code, same.out]).toEqual([
    0,
    expect.stringMatching(/^Configuration \w+ was in force already\n/),
  ]);
  save("pools: {");
  const refused = await run("config", "reload");
  expect([refused.code, refused.out]).toEqual([2, ""]);
  const status = await run("config", "status");
  expect(status.out).toMatch(/^Files in force: +no$/m);
  const pools = await run("pool", "list");
  expect(pools.out).toContain("configuration: the files are not in force");
  const doctor = await run("doctor");
  expect([doctor.code, doctor.out]).toEqual([1, expect.stringMatching(/^fail +configuration/m)]);
  save(yaml(pool("c", 4), pool("d", 1)));
  expect((await run("config", "reload")).code).toBe(0);
  const audit = await run("audit", "-o", "json");
  expect(audit.out).toContain("/v1/config/reload");
  expect(audit.out).toContain('"target": "pool removal"');
}, 60_000);

test("a start without the policy that has decided until now is refused, as a reload is", async () => {
  const one = new Plane("pools: []\n");
  const policy = join(one.state, "policy.yaml");
  const server = `server: { address: 127.0.0.1:0, health_policy_path: ${policy} }\n`;
  writeFileSync(one.config, `${server}pools: []\n`);
  try {
    // A new fleet may run without its file, as before.
    await one.start();
    expect(await one.stop()).toBe(0);
    writeFileSync(
      policy,
      'version: v1\nrules:\n  - { name: own, condition: "true", result: healthy }\n',
    );
    await one.start();
    await until("it is noted", 10_000, async () => {
      const events = await one.events("&kind=policy.loaded");
      return events.length === 2 ? true : null;
    });
    expect(await one.stop()).toBe(0);
    rmSync(policy);
    await expect(one.start(3_000)).rejects.toThrow("it ended with 2");
    expect(one.log()).toContain(`health policy ${policy} is missing, and the fleet was judged by`);
    // Taking the key out is a person's word for the built-in policy.
    writeFileSync(one.config, "server: { address: 127.0.0.1:0 }\npools: []\n");
    await one.start();
  } finally {
    expect(await one.destroy()).toEqual([]);
  }
}, 90_000);
