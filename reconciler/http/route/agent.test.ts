import { afterEach, expect, test } from "bun:test";
import { openWorldApp, type WorldApp } from "../../../test/world/app.ts";
import { anotherPool } from "../../../test/world/story.ts";
import { poolYaml, World } from "../../../test/world/world.ts";
import { PodTokens } from "../../security/join/pod-token.ts";
import { takeReport } from "./agent.ts";

let world: World | null = null;
afterEach(async () => {
  await world?.close();
  world = null;
});

async function open(): Promise<{ w: World; a: WorldApp }> {
  const w = await World.open(poolYaml(1, ""));
  world = w;
  return { w, a: openWorldApp(w) };
}

const at = "2026-03-01T10:00:00Z";
const gpu = { index: 0, uuid: "GPU-1", utilization_percent: 12.5, remap_pending: false };
const report = (sample: unknown): Record<string, unknown> => ({
  version: 1,
  node_id: "stray-1",
  boot_id: "b",
  stream: "s",
  agent_version: "x",
  simulated: false,
  sent_at: at,
  inventory: { hostname: "stray-1", gpus: [] },
  sample,
});

test("takeReport() keeps a good sample and nothing that the schema does not know", async () => {
  const { w, a } = await open();
  const sample = { at, gpus: [{ ...gpu, extra: 1 }], more: "x" };
  expect((await a.call("POST", "/v1/agent/report", report(sample))).status).toBe(202);
  const kept = w.reconciler.presence.sample("stray-1" as never);
  expect(kept).toMatchObject({ at, gpus: [gpu] });
  expect(JSON.stringify(kept)).not.toContain("extra");
  expect(w.reconciler.presence.utilization("stray-1" as never)).toBe(12.5);
});

test("takeReport() takes a report without a sample", async () => {
  const { w, a } = await open();
  for (const sample of [null, undefined])
    expect((await a.call("POST", "/v1/agent/report", report(sample))).status).toBe(202);
  expect(w.reconciler.presence.sample("stray-1" as never)).toBeNull();
});

test("takeReport() names the path of what is wrong in a sample, and of what is wrong beside it", async () => {
  const { w, a } = await open();
  const cases: [unknown, string][] = [
    [{ at, gpus: [gpu, { ...gpu, index: -1 }] }, "sample.gpus.1.index"],
    [{ at, gpus: [{ ...gpu, power_watts: "3" }] }, "sample.gpus.0.power_watts"],
    [{ at, gpus: [{ ...gpu, remap_pending: 1 }] }, "sample.gpus.0.remap_pending"],
    [{ at, gpus: new Array(65).fill(gpu) }, "sample.gpus"],
    [{ at: "noon", gpus: [] }, "sample.at"],
    [7, "sample"],
  ];
  for (const [sample, path] of cases) {
    const answer = await a.call("POST", "/v1/agent/report", report(sample));
    expect(answer.status).toBe(400);
    expect(String(answer.body["error"]?.["message"])).toStartWith(`${path}: `);
  }
  const other = { ...report({ at, gpus: [gpu] }), boot_id: "" };
  const answer = await a.call("POST", "/v1/agent/report", other);
  expect(String(answer.body["error"]?.["message"])).toStartWith("boot_id: ");
  expect(w.reconciler.presence.isHeard("stray-1" as never)).toBe(false);
});

test("takeReport() keeps no node's document near the size of what its agent sends", async () => {
  const { w, a } = await open();
  const big = (name: string, count: number, chars: number): Record<string, string> =>
    Object.fromEntries(
      Array.from({ length: count }, (_, at) => [`${name}-${at}`, "x".repeat(chars)]),
    );
  for (let turn = 1; turn <= 64; turn++) {
    const finding = { kind: "xid", code: 79, at, boot_id: "b", severity: "fatal", message: "gone" };
    const metrics = big("m", 700, 240);
    const found = { ...finding, gpu_uuid: `GPU-${turn}`, source: "kmsg", metrics };
    const said = { ...report(null), findings: [{ seq: turn, finding: found }] };
    const inventory = { hostname: "stray-1", gpus: [], labels: big("l", 150, 240) };
    const answer = await a.call("POST", "/v1/agent/report", { ...said, inventory });
    expect([202, 429]).toContain(answer.status);
    await w.live(1);
  }
  const node = w.node("stray-1");
  expect(node.health.held.length).toBe(64);
  expect(Object.keys(node.agent?.inventory.labels ?? {})).toHaveLength(64);
  expect(JSON.stringify(node).length).toBeLessThan(400_000);
});

test("takeReport() counts a machine that joined in its token's pool, whatever pool it names", async () => {
  const w = await World.open(poolYaml(0, "") + anotherPool("q", 0));
  world = w;
  const a = openWorldApp(w);
  const made = await a.call("POST", "/v1/join-tokens", { pool: "p", ttl: "1h" });
  expect(made.status).toBe(201);
  const desired = { token: made.body["token"], node_id: "stray-1", nonce: "n".repeat(24) };
  const joined = await a.call("POST", "/v1/agent/join", desired, null);
  expect(joined.status).toBe(201);
  const token = String(joined.body["credential"]);
  for (const [named, counted] of [
    ["q", "p"],
    ["p", "p"],
    [null, null],
  ]) {
    const inventory = { hostname: "stray-1", gpus: [], pool: named };
    const said = { ...report(null), inventory };
    expect((await a.call("POST", "/v1/agent/report", said, token)).status).toBe(202);
    await w.advance(() => false, 5_000);
    expect(w.node("stray-1").pool).toBe(counted as never);
  }
});

test("takeReport() looks no further than the first mistake", async () => {
  const { w, a } = await open();
  let reads = 0;
  const findings = new Proxy(new Array(125_000).fill(0), {
    get(list: unknown[], key) {
      if (typeof key === "string" && /^\d+$/.test(key)) reads++;
      return Reflect.get(list, key);
    },
  });
  const principal = a.authority.identify("Bearer root", w.clock.wallMs());
  if (principal === null) throw new Error("no administrator");
  const answer = await takeReport(a.ports, principal, { ...report(null), findings });
  expect(answer).toMatchObject({ kind: "error", message: expect.stringContaining("findings.0") });
  expect(reads).toBeLessThan(10);
});

test("takeReport() takes a report whose pod token is none, and repeats no token", async () => {
  const { w, a } = await open();
  const reviewed: string[] = [];
  a.ports.pods = new PodTokens({
    async review(token) {
      reviewed.push(token);
      return { kind: "proven", pod: { node: "stray-1", uid: "u" } };
    },
    agent: (node) => w.reconciler.fleet().nodes.get(node)?.agent ?? null,
    clock: w.clock,
    log: () => undefined,
  });
  const send = (token: unknown) =>
    a.call("POST", "/v1/agent/report", { ...report(null), pod_token: token });
  for (const token of ["x".repeat(8_193), 7, null, undefined, "a.b.c"]) {
    const answer = await send(token);
    expect(answer.status).toBe(202);
    expect(answer.text).not.toContain("a.b.c");
    await w.live(1);
  }
  expect(reviewed).toEqual(["a.b.c"]);
  // A refusal repeats what was wrong, and not what else was sent.
  const bad = { ...report(null), boot_id: "", pod_token: "a.b.c" };
  expect((await a.call("POST", "/v1/agent/report", bad)).text).not.toContain("a.b.c");
  await send("a.b.c");
  await w.live(1);
  expect(w.node("stray-1").agent?.origin?.pod).toEqual({ node: "stray-1", uid: "u" });
  expect(JSON.stringify(w.nodes())).not.toContain("a.b.c");
});
