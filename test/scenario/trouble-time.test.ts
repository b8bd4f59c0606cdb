/**
 * Restarts, clocks, silence, stores that fail and budgets: what the product does not know it does
 * not act on, what it has acknowledged it does not forget, and one fault does not starve another.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { Notifier } from "../../reconciler/runtime/act/deliver.ts";
import type { NotifierConfig } from "../../schema/config.ts";
import { openWorldApp } from "../world/app.ts";
import {
  breakImage,
  breakStore,
  counts,
  closeWorlds,
  fleet,
  instanceOf,
  lives,
  open,
  order,
  phaseOf,
  restart,
  storeOf,
  threshold,
  told,
  waitOf,
  wrongs,
} from "../world/story.ts";
import { poolYaml, type World } from "../world/world.ts";

let server: Bun.Server<undefined> | null = null;
afterEach(async () => {
  await closeWorlds();
  await server?.stop(true);
  server = null;
});

/** What the world is about, for comparing before with after. */
function durable(w: World): unknown {
  const { nodes, pools } = w.reconciler.fleet();
  return { nodes: [...nodes.values()], pools: [...pools.values()] };
}

describe("a restart", () => {
  test("after an hour's outage does not kill nodes that were booting", async () => {
    const w = await open(poolYaml(2));
    await w.turn();
    await w.clock.pass(1_000);
    await w.turn();
    expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
    expect(w.nodes().map((node) => node.phase.kind)).toEqual(["booting", "booting"]);
    await w.crash();
    await w.clock.pass(3_600_000);
    await w.start();
    await w.turn();
    expect(w.nodes().map((node) => node.phase.kind)).toEqual(["booting", "booting"]);
    await w.until(() => w.serving().length === 2, 60);
    expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
    expect(wrongs(w)).toEqual([]);
  });

  test("after an hour's outage does not end a drain that nobody could watch", async () => {
    const w = await fleet(2, `${threshold(1)}    drain: { timeout: 0s }\n`);
    w.scheduler.left = () => null;
    const [node = ""] = w.serving();
    w.agent(node).processes = null;
    await w.live(10);
    await order(w, node, "replace");
    await w.crash();
    await w.clock.pass(3_600_000);
    await w.start();
    await w.turn();
    expect(phaseOf(w, node)).toBe("draining");
    expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
    expect(wrongs(w)).toEqual([]);
  });

  test("is no heartbeat: who was silent is back only when it reports", async () => {
    const w = await fleet(4, threshold(1));
    const [quiet = ""] = w.serving();
    w.agent(quiet).quiet = true;
    await w.live(60);
    const since = w.node(quiet).health.silentSince;
    expect(since).not.toBeNull();
    await restart(w);
    await w.live(120);
    expect(told(w, "node.heard")).toEqual([]);
    expect(w.node(quiet).health.silentSince).toBe(since);
    w.agent(quiet).quiet = false;
    await w.until(() => phaseOf(w, quiet) === "serving", 120);
    expect(told(w, "node.heard").map((event) => event.node)).toEqual([w.node(quiet).id]);
    expect(counts(w)).toEqual({ live: 4, ended: 0, asks: 4 });
    expect(wrongs(w)).toEqual([]);
  });

  test("reads back what was written under a clock that counts in fractions", async () => {
    const w = await fleet(4, threshold(1));
    const mono = w.clock.monoMs.bind(w.clock);
    const wall = w.clock.wallMs.bind(w.clock);
    w.clock.monoMs = () => mono() + 0.37 * (mono() % 7);
    w.clock.wallMs = () => Math.round(wall() + 0.37 * (mono() % 7));
    const [quiet = "", sick = "", drained = ""] = w.serving();
    w.agent(quiet).quiet = true;
    w.agent(sick).processes = 3;
    w.agent(drained).processes = 3;
    w.xid(sick, 79);
    await w.live(47);
    await order(w, drained, "drain");
    await w.live(13);
    expect(w.node(quiet).health.silentSince).not.toBeNull();
    expect(phaseOf(w, sick)).toBe("draining");
    expect(phaseOf(w, drained)).toBe("draining");
    const before = durable(w);
    await restart(w);
    expect(durable(w)).toEqual(before);
    await w.live(10);
    expect(wrongs(w)).toEqual([]);
  });

  test("reads back a drain whose timeout was ordered in fractions of a millisecond", async () => {
    const w = await fleet(2);
    const app = openWorldApp(w);
    const [busy = ""] = w.serving();
    w.agent(busy).processes = 3;
    const path = `/api/v1/nodes/${busy}/drain`;
    const answer = await app.call("POST", path, { reason: "x", timeout: "100.0005s" });
    expect(answer.status).toBe(200);
    await w.live(20);
    const { phase } = w.node(busy);
    if (phase.kind !== "draining") throw new Error(`${busy} is ${phase.kind}`);
    expect(Number.isInteger(phase.deadlineAt)).toBe(true);
    const before = durable(w);
    await restart(w);
    expect(durable(w)).toEqual(before);
    expect(wrongs(w)).toEqual([]);
  });
});

describe("silence", () => {
  test("of one node does not keep a node with XID 79 in service", async () => {
    const w = await fleet(3, threshold(1));
    const [quiet = "", sick = ""] = w.serving();
    const instance = instanceOf(w, quiet);
    w.agent(quiet).quiet = true;
    await w.live(120);
    w.xid(sick, 79);
    await w.until(() => w.node(sick).cordon.product !== null, 30);
    await w.until(() => w.story(sick).includes("node.replaced"), 300);
    expect(phaseOf(w, quiet)).toBe("suspect");
    expect(lives(w, instance)).toBe(true);
    expect(counts(w)).toEqual({ live: 3, ended: 1, asks: 4 });
    expect(wrongs(w)).toEqual([]);
  });

  test("of strangers does not blind the fleet", async () => {
    const w = await fleet(1, threshold(1));
    for (let i = 0; i < 12; i++) {
      await w.say(`stray-${i}`);
      await w.say(`stray-${i}`);
    }
    await w.live(120);
    expect(w.reconciler.lastSight()?.blind).toEqual([]);
    const [sick = ""] = w.serving();
    w.xid(sick, 79);
    await w.until(() => w.story(sick).includes("node.replaced"), 300);
    expect(counts(w)).toEqual({ live: 1, ended: 1, asks: 2 });
    expect(wrongs(w)).toEqual([]);
  });
});

test("a broken image costs at most max_unavailable nodes, however many are sick", async () => {
  const w = await fleet(5, threshold(1));
  w.config.server.registrationTimeoutMs = 120_000;
  const old = w.serving();
  const fix = breakImage(w);
  for (const id of old) w.xid(id, 79);
  await w.live(1_800);
  expect(old.filter((id) => phaseOf(w, id) === "suspect").length).toBe(4);
  const ended = new Set(w.cloud.reality().terminated.map((one) => one.tags["navarch-node"]));
  expect(old.filter((id) => ended.has(id)).length).toBe(1);
  expect(counts(w).live).toBeLessThanOrEqual(5);
  expect(wrongs(w)).toEqual([]);
  fix();
  await w.until(() => old.every((id) => ["gone", "purged"].includes(phaseOf(w, id))), 7_200);
  await w.until(() => w.serving().length === 5, 300);
  expect(counts(w).live).toBe(5);
  expect(wrongs(w)).toEqual([]);
}, 60_000);

describe("a store that fails", () => {
  test("for a moment does not lose a finding that was acknowledged", async () => {
    const w = await fleet(3, threshold(1));
    w.tolerant = true;
    const [sick = ""] = w.serving();
    w.reconciler.start();
    w.xid(sick, 79);
    const store = breakStore(w);
    await w.say(sick);
    expect(w.agent(sick).spool).toEqual([]);
    await w.clock.pass(20_000);
    expect(w.reconciler.failure()).toContain("SQLITE");
    expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
    store.down = false;
    await w.clock.pass(10_000);
    await w.until(() => w.story(sick).includes("node.replaced"), 300);
    expect(told(w, "node.unhealthy").map((event) => event.node)).toEqual([w.node(sick).id]);
    expect(counts(w)).toEqual({ live: 3, ended: 1, asks: 4 });
    expect(wrongs(w)).toEqual([]);
    await halt(w);
  });

  test("is tried again with rests, and readiness tells until it works", async () => {
    const w = await fleet(1, threshold(1));
    w.tolerant = true;
    const [sick = ""] = w.serving();
    w.xid(sick, 79);
    await w.say(sick);
    const store = breakStore(w);
    w.reconciler.start();
    await w.clock.pass(60_000);
    expect(store.loads).toBeGreaterThan(5);
    expect(store.loads).toBeLessThan(30);
    expect(w.reconciler.failure()).toContain("activations fail: SQLITE");
    store.down = false;
    await w.clock.pass(10_000);
    expect(w.reconciler.failure()).toBeNull();
    expect(w.node(sick).cordon.product).not.toBeNull();
    await halt(w);
  });

  /** Ends the loop that `start` began, so that nothing runs into the next story. */
  async function halt(w: World): Promise<void> {
    const stopped = w.reconciler.stop(0);
    await w.clock.pass(10_000);
    await stopped;
  }
});

describe("an Idempotency-Key", () => {
  const key = (text: string): Record<string, string> => ({ "Idempotency-Key": text });

  test("that is too long is refused and leaves nothing behind that cannot be read", async () => {
    const w = await fleet(2);
    const app = openWorldApp(w);
    const [node = ""] = w.serving();
    const path = `/api/v1/nodes/${node}/cordon`;
    const bad = await app.call("POST", path, { reason: "x" }, "root", key("k".repeat(100)));
    expect(bad.status).toBe(400);
    expect(bad.text).toContain("Idempotency-Key");
    expect(w.node(node).cordon.human).toBeNull();
    expect((await app.call("GET", "/api/v1/commands")).body["commands"]).toHaveLength(0);
    expect((await app.call("POST", path, { reason: "x" })).status).toBe(200);
    await restart(w);
    expect(w.node(node).cordon.human?.why).toBe("x");
    expect(wrongs(w)).toEqual([]);
  });

  test("that was used for another node or order is refused and touches nothing", async () => {
    const w = await fleet(2);
    const app = openWorldApp(w);
    const [a = "", b = ""] = w.serving();
    const post = (node: string, verb: string) =>
      app.call("POST", `/api/v1/nodes/${node}/${verb}`, { reason: "x" }, "root", key("k1"));
    expect((await post(a, "cordon")).status).toBe(200);
    expect((await post(b, "cordon")).status).toBe(409);
    expect((await post(a, "drain")).status).toBe(409);
    await w.live(10);
    expect(w.node(b).cordon).toEqual({ product: null, human: null });
    expect(w.serving()).toEqual([a, b]);
    expect(wrongs(w)).toEqual([]);
  });

  test("that comes again with the same order is answered and carried out once", async () => {
    const w = await fleet(2);
    const app = openWorldApp(w);
    const [node = ""] = w.serving();
    const post = (verb: string, id: string) =>
      app.call("POST", `/api/v1/nodes/${node}/${verb}`, { reason: "x" }, "root", key(id));
    const first = await post("cordon", "k1");
    await post("uncordon", "k2");
    const again = await post("cordon", "k1");
    expect(again.body).toEqual(first.body);
    expect(w.node(node).cordon.human).toBeNull();
    expect(told(w, "node.cordoned").length).toBe(1);
    expect(wrongs(w)).toEqual([]);
  });
});

test("webhooks of one node come in their order, also after a failed delivery", async () => {
  const got: string[] = [];
  let calls = 0;
  server = Bun.serve<undefined>({
    port: 0,
    async fetch(request) {
      const body: unknown = await request.json();
      if (calls++ === 0) return new Response("", { status: 500 });
      const kind = typeof body === "object" && body !== null && "event" in body ? body.event : "?";
      got.push(String(kind));
      return new Response("ok");
    },
  });
  const w = await fleet(2);
  const url = `http://127.0.0.1:${server.port}/`;
  const config: Extract<NotifierConfig, { type: "webhook" }> = {
    type: "webhook",
    cordonUrl: url,
    uncordonUrl: url,
    drainUrl: url,
    drainStatusUrl: null,
    timeoutMs: 1_000,
    headers: {},
    secretEnv: null,
    retry: { attempts: 10, initialMs: 5_000, maxMs: 60_000 },
  };
  w.config.server.notifier = config;
  const { clock } = w;
  const notifier = new Notifier({
    store: storeOf(w),
    clock,
    log: () => undefined,
    config,
    secret: null,
  });
  const [node = ""] = w.serving();
  await order(w, node, "cordon");
  await notifier.deliverDue();
  await order(w, node, "uncordon");
  await notifier.deliverDue();
  expect(got).toEqual([]);
  await clock.pass(10_000);
  await notifier.deliverDue();
  expect(got).toEqual(["cordon", "uncordon"]);
  expect(wrongs(w)).toEqual([]);
});

test("failures of the past do not keep a pool from ever repairing again", async () => {
  const w = await fleet(2, threshold(1));
  w.config.server.registrationTimeoutMs = 60_000;
  const fix = breakImage(w);
  const pool = w.config.pools[0];
  if (pool === undefined) throw new Error("no pool");
  pool.scaling.minNodes = 3;
  await w.live(1_200);
  pool.scaling.minNodes = 2;
  await w.reconciler.change((draft) => {
    for (const state of w.reconciler.fleet().pools.values())
      draft.putPool({ ...state, desired: 2 });
  });
  await w.until(() => w.nodes().length === 2, 300);
  fix();
  const [sick = ""] = w.serving();
  w.xid(sick, 79);
  await w.live(10);
  expect(waitOf(w, sick)).not.toBe("budget");
  await w.until(() => w.story(sick).includes("node.replaced"), 3_600);
  expect(counts(w).live).toBe(2);
  expect(wrongs(w)).toEqual([]);
}, 15_000);
