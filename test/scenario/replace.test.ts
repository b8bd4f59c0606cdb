/** The main story, on a virtual clock: a GPU dies and the fleet heals; and the stories in which it must not. */
import { afterEach, expect, test } from "bun:test";
import { closeWorlds, fleet, open, threshold } from "../world/story.ts";
import { poolYaml } from "../world/world.ts";

afterEach(closeWorlds);

test("min_nodes is a floor that needs no autoscaler and no report", async () => {
  const w = await open(poolYaml(3));
  await w.turn();
  await w.clock.pass(1_000);
  await w.turn();
  expect(w.cloud.reality().live.length).toBe(3);
});

for (const n of [1, 2, 3]) {
  test(`XID 79 with threshold ${n}: cordoned, drained, terminated, replaced, in that order`, async () => {
    const w = await fleet(3, threshold(n));
    const [sick = ""] = w.serving();
    w.xid(sick, 79);
    await w.until(() => w.story(sick).includes("node.replaced"), 300);
    const steps = [
      "node.unhealthy",
      "node.cordoned",
      "node.draining",
      "node.drained",
      "node.terminated",
      "node.replaced",
    ];
    expect(w.story(sick).filter((kind) => steps.includes(kind))).toEqual(steps);
    expect(w.serving().length).toBe(3);
    expect(w.cloud.reality().live.length).toBe(3);
    expect(w.cloud.reality().overlaps).toEqual([]);
  });
}

test("a definitive finding isolates at once; the threshold gates the drain", async () => {
  const w = await fleet(3, threshold(3));
  const [sick = ""] = w.serving();
  w.xid(sick, 79);
  await w.say(sick);
  await w.turn();
  expect(w.node(sick).cordon.product).not.toBeNull();
  expect(w.node(sick).phase.kind).toBe("suspect");
  expect(w.reconciler.lastPlan().waits.find((wait) => wait.node === sick)?.reason).toBe(
    "threshold",
  );
});

test("application faults on every node cordon nothing", async () => {
  const w = await fleet(3, threshold(1));
  for (const id of w.serving()) for (const code of [13, 31, 43, 45, 68, 69, 94]) w.xid(id, code);
  await w.live(120);
  expect(w.serving().length).toBe(3);
  expect(w.events.filter((e) => e.kind === "node.cordoned")).toEqual([]);
});

test("a drain waits for the work that is on the node", async () => {
  const w = await fleet(2, threshold(1));
  const [sick = ""] = w.serving();
  w.agent(sick).processes = 4;
  w.xid(sick, 79);
  await w.live(120);
  expect(w.node(sick).phase.kind).toBe("draining");
  w.agent(sick).processes = 0;
  await w.until(() => w.story(sick).includes("node.terminated"), 60);
});

test("surge: the replacement serves before the sick node is drained", async () => {
  const w = await fleet(2, `${threshold(1)}    replacement: surge\n`);
  const [sick = ""] = w.serving();
  w.xid(sick, 79);
  await w.until(() => w.story(sick).includes("node.terminated"), 200);
  const order = w.events.filter((e) =>
    ["node.verified", "node.draining", "node.terminated"].includes(e.kind),
  );
  const tail = order.slice(-3).map((e) => e.kind);
  expect(tail).toEqual(["node.verified", "node.draining", "node.terminated"]);
  expect(w.serving().length).toBe(2);
  expect(w.cloud.reality().live.length).toBe(2);
});

test("a fault on every node takes them out one at a time (max_unavailable 20% of 3 is 1)", async () => {
  const w = await fleet(3, threshold(1));
  const before = w.serving();
  for (const id of before) w.xid(id, 48);
  let most = 0;
  await w.until(() => {
    const out = w
      .nodes()
      .filter(
        (n) => n.cordon.product !== null || ["draining", "terminating"].includes(n.phase.kind),
      );
    most = Math.max(most, out.length);
    return before.every((id) => w.story(id).includes("node.replaced"));
  }, 2_000);
  expect(most).toBe(1);
  expect(w.serving().length).toBe(3);
});

test("auto_replace: false isolates and then waits for a person", async () => {
  const w = await fleet(2, threshold(1, ", auto_replace: false"));
  const [sick = ""] = w.serving();
  w.xid(sick, 79);
  await w.live(120);
  expect(w.node(sick).phase.kind).toBe("suspect");
  expect(w.node(sick).cordon.product).not.toBeNull();
  expect(w.cloud.reality().live.length).toBe(2);
});

test("a node cordoned by a person is not repaired away, and the person's cordon is never lifted", async () => {
  const w = await fleet(2, threshold(1));
  const [sick = ""] = w.serving();
  const command = {
    id: "c1",
    node: sick,
    type: "cordon",
    reason: "looking at it",
    force: false,
    timeoutMs: null,
    issuedBy: "ann",
    issuedAt: w.clock.wallMs(),
    state: "accepted",
    message: null,
  } as never;
  const applied = w.reconciler.takeCommand(command);
  await w.turn();
  expect((await applied).state).toBe("applied");
  w.xid(sick, 79);
  await w.live(120);
  expect(w.node(sick).phase.kind).toBe("suspect");
  expect(w.node(sick).cordon.human?.why).toBe("looking at it");
  expect(w.reconciler.lastPlan().waits.find((wait) => wait.node === sick)?.reason).toBe("human");
});

test("a thermal condition that clears lifts the product's cordon and nothing else", async () => {
  const w = await fleet(2, threshold(1));
  const [hot = ""] = w.serving();
  const agent = w.agent(hot);
  agent.seq++;
  agent.spool.push({
    seq: agent.seq,
    finding: {
      kind: "thermal",
      code: null,
      reason: "shutdown",
      pci: null,
      gpu_index: 0,
      gpu_uuid: agent.uuids[0] ?? null,
      mig: null,
      pid: null,
      process_name: null,
      at: new Date(w.clock.wallMs()).toISOString(),
      boot_id: "boot-1" as never,
      severity: "fatal",
      message: "97 C",
      metrics: { temperature: 97, shutdown_limit: 95 },
      source: "sim",
      foreign: false,
      injected: false,
      kmsg_seq: null,
    },
  });
  agent.active = [`thermal/shutdown/${agent.uuids[0]}`];
  agent.processes = 3;
  await w.until(() => w.node(hot).cordon.product !== null, 120);
  agent.active = [];
  await w.until(
    () => w.node(hot).phase.kind === "serving" && w.node(hot).cordon.product === null,
    200,
  );
  expect(w.cloud.reality().live.length).toBe(2);
  expect(w.story(hot)).toContain("node.recovered");
});

test("silence alone never ends a node; with the cloud as second witness it is replaced", async () => {
  const w = await fleet(4, threshold(1));
  const [quiet = ""] = w.serving();
  w.agent(quiet).quiet = true;
  await w.live(300);
  expect(w.node(quiet).phase.kind).toBe("suspect");
  expect(w.cloud.reality().live.length).toBe(4);
  const instance = w.node(quiet).instance?.id;
  if (instance === undefined) throw new Error("no instance");
  expect(w.cloud.deleteInstance(instance)).toBe(true);
  await w.until(() => w.serving().length === 4, 300);
  expect(w.cloud.reality().live.length).toBe(4);
});

test("everything silent at once is our own blindness: nothing is cordoned or ended", async () => {
  const w = await fleet(4, threshold(1));
  for (const id of w.serving()) w.agent(id).quiet = true;
  await w.live(600);
  expect(w.cloud.reality().live.length).toBe(4);
  expect(w.events.filter((e) => e.kind === "node.draining")).toEqual([]);
  for (const id of w.nodes()) w.agent(id.id).quiet = false;
  await w.until(() => w.serving().length === 4, 300);
});

test("a control plane paused for an hour condemns nobody", async () => {
  const w = await fleet(4, threshold(1));
  w.clock.sleepThrough(3_600_000);
  await w.live(120);
  expect(w.serving().length).toBe(4);
  expect(
    w.events.filter((e) => ["node.silent", "node.cordoned", "node.draining"].includes(e.kind)),
  ).toEqual([]);
});

test("a wall clock that jumps by an hour makes the product still, not destructive", async () => {
  const w = await fleet(3, threshold(1));
  w.clock.setWall(3_600_000);
  await w.live(60);
  expect(w.serving().length).toBe(3);
  expect(w.cloud.reality().live.length).toBe(3);
});

test("scaling down drains before it ends, and a cordoned node goes first", async () => {
  const w = await fleet(3);
  const [first = "", , third = ""] = w.serving();
  w.agent(first).processes = 2;
  const command = {
    id: "c1",
    node: third,
    type: "cordon",
    reason: "odd",
    force: false,
    timeoutMs: null,
    issuedBy: "ann",
    issuedAt: w.clock.wallMs(),
    state: "accepted",
    message: null,
  } as never;
  void w.reconciler.takeCommand(command);
  if (w.config.pools[0]?.scaling) w.config.pools[0].scaling.minNodes = 1;
  await w.reconciler.change((draft) => {
    const pool = w.reconciler.fleet().pools.values().next().value;
    if (pool !== undefined) draft.putPool({ ...pool, desired: 2 });
  });
  await w.until(() => w.nodes().length === 2, 120);
  expect(w.story(third)).toContain("node.drained");
  expect(w.serving()).toContain(first);
  expect(w.cloud.reality().live.length).toBe(2);
});

test("a stock-out is waited out, and the slot is filled when it ends", async () => {
  const w = await open(poolYaml(2));
  w.cloud.setFaults({ stockOut: true });
  await w.live(120);
  expect(w.cloud.reality().live.length).toBe(0);
  w.cloud.setFaults({});
  await w.until(() => w.serving().length === 2, 1_200);
});

test("nodes that never register are ended, and the pool's guard stops the buying", async () => {
  const w = await open(poolYaml(2));
  w.say = async () => undefined;
  await w.live(3 * 3_600);
  const bought = w.cloud.reality().asks;
  expect(bought).toBeLessThan(16);
  expect(w.cloud.reality().live.length).toBeLessThanOrEqual(2);
});

test("a dry run shows what it would do and buys nothing", async () => {
  const w = await fleet(1);
  w.dryRun = true;
  const pool = w.config.pools[0];
  if (pool !== undefined) pool.scaling.minNodes = 3;
  await w.crash();
  await w.start();
  for (let i = 0; i < 20; i++) {
    await w.reconciler.activate();
    await w.clock.pass(1_000);
  }
  const { actions } = w.reconciler.lastPlan();
  expect(actions.map((action) => action.kind)).toEqual(["admit", "admit"]);
  expect(w.cloud.reality().asks).toBe(1);
});
