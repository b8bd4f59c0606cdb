/** The engine of AgentPools in virtual time: a test for each row that it decides. */
import { expect, test } from "bun:test";
import type { AgentPool, PoolScaler } from "../../reconciler/core/agentpool/model.ts";
import { freshMemory } from "../../reconciler/core/agentpool/memory.ts";
import { step } from "../../reconciler/core/agentpool/step.ts";
import { anyPool } from "../world/agentpool/cluster.ts";
import { PoolWorld } from "../world/agentpool/world.ts";

const KEY = "default/t";
const QUOTA = { kind: "refused" as const, reason: "QuotaExceeded" as const, message: "no more" };

function open(scaler: Partial<PoolScaler> | null, more: Partial<AgentPool> = {}): PoolWorld {
  const world = new PoolWorld(anyPool("t", scaler, more));
  world.settle();
  return world;
}

function edit(world: PoolWorld, change: Partial<AgentPool>): void {
  const generation = (world.cluster.objects.get(KEY)?.generation ?? 0) + 1;
  world.cluster.edit(KEY, { generation, ...change });
  world.settle();
}

const rescale = (world: PoolWorld, scaler: Partial<PoolScaler>): void => {
  const pool = world.cluster.objects.get(KEY);
  if (pool?.scaler != null) edit(world, { scaler: { ...pool.scaler, ...scaler } });
};

const condition = (world: PoolWorld, type: "Ready" | "Gated" | "ScaleUpBlocked" | "Draining") =>
  world.cluster.condition(KEY, type);
const reasons = (world: PoolWorld) => world.cluster.events.map(({ reason }) => reason);
const writes = (world: PoolWorld, verb: "create" | "delete") =>
  world.cluster.writes.filter((one) => one.verb === verb).length;

/** A pool of so many joined workers, all idle. */
function joined(scaler: Partial<PoolScaler>, more: Partial<AgentPool> = {}): PoolWorld {
  const world = open(scaler, more);
  world.join();
  return world;
}

test("V16: names have the template's name or the pool's, and five more letters", () => {
  const pattern = /^t-[a-z0-9]{5}$/;
  expect(
    open({ min: 3 })
      .names()
      .every((name) => pattern.test(name)),
  ).toBe(true);
  const template = { metadata: { name: "x".repeat(80), labels: { a: "b" } } };
  const [name = ""] = open({ min: 1 }, { template }).names();
  expect(name).toMatch(/^x{57}-[a-z0-9]{5}$/);
  const world = open({ min: 1 });
  edit(world, { template: { metadata: { name: "other", labels: { a: "b" } } } });
  rescale(world, { min: 2 });
  expect(world.names().map((one) => one.replace(/-.*/, ""))).toEqual(["t", "other"]);
});

test("V17: a pool with problems creates nothing, says why and keeps its workers", () => {
  const problems = ["spec.template.metadata.namespace: must be default"];
  const world = joined({ min: 2 });
  edit(world, { problems });
  rescale(world, { min: 4, max: 0 });
  world.wait(120_000);
  expect([world.live, condition(world, "Ready")?.message]).toEqual([2, problems[0]]);
  expect(world.cluster.condition(KEY, "InvalidTemplate")?.status).toBe("True");
});

test("V18: nothing is created before the dry run succeeds, which is tried again", () => {
  const world = new PoolWorld(anyPool("t", { min: 1 }));
  world.cluster.checks = { kind: "refused", reason: "InvalidTemplate", message: "no such image" };
  world.settle();
  world.wait(59_000);
  expect(world.cluster.writes).toEqual([]);
  expect(world.cluster.condition(KEY, "InvalidTemplate")).toMatchObject({
    ...{ status: "True", message: "no such image" },
  });
  world.cluster.checks = null;
  world.wait(2_000);
  expect(world.live).toBe(1);
  expect(reasons(world)).toContain("TemplateValid");
});

test("V18: a dry run that is refused for another reason blocks for that reason", () => {
  const world = joined({ min: 1 });
  world.cluster.refuses = { kind: "refused", reason: "AdmissionDenied", message: "policy" };
  rescale(world, { min: 2 });
  expect(condition(world, "ScaleUpBlocked")).toMatchObject({
    ...{ status: "True", reason: "AdmissionDenied" },
  });
  world.cluster.refuses = null;
  world.wait(61_000);
  expect([world.live, condition(world, "ScaleUpBlocked")?.status]).toEqual([2, "False"]);
});

test("V19: pods of another owner are not members, whatever their labels", () => {
  const world = open({ min: 1, killUnknownMs: 3_000 });
  world.cluster.addPod("twin", { ownerUid: "twin-uid", labels: { app: "t" } });
  world.cluster.addPod("lonely", { labels: { app: "t" } });
  world.wait(60_000);
  expect(world.workers.size).toBe(1);
  expect([...world.cluster.live.keys()]).toEqual(expect.arrayContaining(["twin", "lonely"]));
});

test("V19: a pool that adopts takes pods of its labels that have no owner", () => {
  const world = open({ max: 2, maxIdle: 2 }, { adopts: true });
  world.cluster.addPod("stray", { labels: { app: "t", more: "x" } });
  world.cluster.addPod("other", { labels: { app: "u" } });
  world.join("stray");
  expect([...world.workers.keys()]).toEqual(["stray"]);
  const id = world.claim();
  expect(world.claims.get(id)?.worker).toBe("stray");
});

test("V20: numbers act at once, a new template on new pods only", () => {
  const world = joined({ min: 2 });
  const old = world.names();
  edit(world, { template: { metadata: { labels: { app: "new" } } } });
  rescale(world, { min: 3 });
  expect(world.names().slice(0, 2)).toEqual(old);
  expect(world.live).toBe(3);
  world.wait(3_600_000);
  expect(world.names().slice(0, 2)).toEqual(old);
});

test("V20: recycling replaces idle workers one by one and never breaks minIdle", () => {
  const world = joined({ min: 0, minIdle: 2, maxIdle: 2, max: 4 }, { recycles: true });
  const busy = world.claim();
  world.joins = true;
  world.wait(5_000);
  const old = new Set(world.names());
  edit(world, {});
  for (let i = 0; i < 60; i++) {
    world.wait(1_000);
    const { Idle = 0 } = world.status().workers;
    expect(Idle).toBeGreaterThanOrEqual(2);
    expect(world.live).toBeLessThanOrEqual(4);
  }
  const worker = world.claims.get(busy)?.worker ?? "";
  expect(world.names().filter((name) => old.has(name))).toEqual([worker]);
  world.release(busy);
  world.wait(60_000);
  expect(world.names().filter((name) => old.has(name))).toEqual([]);
  expect(world.live).toBe(2);
});

test("V21, X4: a pool that is deleted ends its claims, deletes its pods, and goes last", () => {
  const world = joined({ min: 2 });
  const other = anyPool("other", { min: 1 });
  world.cluster.apply(other);
  world.settle();
  world.cluster.hasGrace = true;
  const [running, queued] = [world.claim(KEY), world.claim(KEY), world.claim(KEY)];
  world.cluster.remove(KEY);
  world.settle();
  expect([world.state(running), world.live]).toEqual(["lost", 0]);
  expect(world.state(queued)).not.toBe("queued");
  world.wait(10_000);
  expect(condition(world, "Draining")?.status).toBe("True");
  expect([...world.cluster.objects.keys()]).toEqual([KEY, "default/other"]);
  world.cluster.endAll();
  world.wait(1_000);
  expect([...world.cluster.objects.keys()]).toEqual(["default/other"]);
  expect(world.names("default/other")).toHaveLength(1);
});

test("V21: with Drain, claims are waited for and idle workers go", () => {
  const world = joined({ min: 2 }, { drainsOnDelete: true });
  const id = world.claim();
  world.cluster.remove(KEY);
  world.wait(120_000);
  expect([world.live, world.state(id)]).toEqual([1, "running"]);
  expect(condition(world, "Draining")?.message).toContain("1 claims are waited for");
  expect(world.state(world.claim(KEY))).toBe("cancelled");
  world.release(id);
  world.wait(3_000);
  expect([...world.cluster.objects.keys(), ...world.cluster.live.keys()]).toEqual([]);
});

test("V22: what was deleted while no control plane ran is completed after its start", () => {
  const world = joined({ min: 2 });
  world.cluster.remove(KEY);
  world.restart();
  world.pass(3_600_000);
  world.settle();
  const { cluster, workers } = world;
  expect([cluster.objects.size, cluster.live.size, workers.size]).toEqual([0, 0, 0]);
});

test("V22: a pool whose finalizer was removed by hand leaves no row, pod or claim", () => {
  const world = joined({ min: 2 });
  const id = world.claim();
  world.cluster.edit(KEY, { hasFinalizer: false });
  world.cluster.remove(KEY);
  world.wait(120_000);
  expect([world.cluster.live.size, world.workers.size, world.state(id)]).toEqual([0, 0, "lost"]);
});

test("V23, X8: nothing is created or deleted before every worker is known", () => {
  const world = joined({ min: 2, decayMs: 0, minIdle: 1, maxIdle: 3 });
  const id = world.claim();
  const [first = "", second = ""] = world.names();
  const uids = () => [...world.cluster.live.values()].map(({ uid }) => uid);
  const before = uids();
  world.restart();
  world.agent(first).isAlive = false;
  rescale(world, { min: 0, max: 9, minIdle: 4 });
  world.wait(30_000);
  expect(uids()).toEqual(before);
  expect(condition(world, "Gated")).toMatchObject({ status: "True" });
  expect(condition(world, "Gated")?.message).toContain(first);
  expect([world.states.get(first), world.states.get(second)]).toContain("Unknown");
  expect(world.state(id)).toBe("running");
  world.agent(first).isAlive = true;
  world.wait(1_000);
  expect(condition(world, "Gated")?.status).toBe("False");
  expect(world.live).toBe(5);
});

test("V23: what was committed before a restart waits for the gate too", () => {
  const world = joined({ min: 2 });
  const [first = ""] = world.names();
  world.diesAt = world.points + 4;
  rescale(world, { min: 3 });
  expect([world.deaths, world.workers.size, world.live]).toEqual([1, 3, 2]);
  world.silence(first);
  world.cluster.setPod(world.names()[1] ?? "", { phase: "Failed" });
  world.wait(20_000);
  expect([world.cluster.writes.length, world.states.get(first)]).toEqual([2, "Unknown"]);
  world.agent(first).isAlive = true;
  world.wait(70_000);
  expect([world.live, world.cluster.live.size]).toEqual([3, 3]);
});

test("V23: a list that is not current stops creations and deletions, not claims", () => {
  const world = joined({ min: 2, killUnknownMs: 5_000 });
  world.cluster.dark = "the watch is away";
  rescale(world, { min: 4 });
  world.silence(world.names()[1] ?? "");
  world.wait(120_000);
  expect([world.live, condition(world, "Ready")?.reason]).toEqual([2, "PodsUnknown"]);
  expect(world.workers.size).toBe(2);
  expect(world.state(world.claim())).toBe("running");
  world.cluster.dark = null;
  world.wait(1_000);
  expect(writes(world, "create")).toBe(5);
});

test("V23: a stranger that comes later holds nothing back", () => {
  const world = joined({ min: 1 });
  world.cluster.addPod("stranger", { ownerUid: "t-uid" });
  rescale(world, { min: 3 });
  expect([world.states.get("stranger"), world.status().size]).toEqual(["Unknown", 3]);
});

test("V24: creations are counted before they are sent, and so many at once", () => {
  const pool = anyPool("t", { min: 40, max: 50 });
  const result = step({
    ...{
      pool,
      workers: [],
      claims: [],
      pods: new Map(),
      dark: null,
      agent: () => null,
      answers: [],
    },
    ...{ check: { kind: "ok", uid: "" }, memory: freshMemory(), now: 1, mono: 1 },
    ...{ random: Math.random, isTaken: () => false },
  });
  expect(result.effects.filter(({ kind }) => kind === "create")).toHaveLength(16);
  expect([result.workers.length, result.status.size]).toEqual([16, 16]);
  expect(open({ min: 40, max: 50 }).live).toBe(40);
});

test("V25: an error stops creations for a minute, and a worker that joins ends it", () => {
  const world = joined({ min: 1, max: 9 });
  world.cluster.checks = { kind: "ok", uid: "" };
  world.cluster.refuses = QUOTA;
  rescale(world, { min: 5 });
  const failed = writes(world, "create");
  world.wait(59_000);
  expect(writes(world, "create")).toBe(failed);
  expect(condition(world, "ScaleUpBlocked")).toMatchObject({
    ...{ status: "True", reason: "QuotaExceeded" },
  });
  expect(world.status().lastAllocationError).toEqual({
    ...{ reason: "QuotaExceeded", message: "no more", at: 1_000_000 },
  });
  world.wait(2_000);
  expect(writes(world, "create")).toBe(failed + 1);
  world.cluster.addPod("helper", { ownerUid: "t-uid" });
  world.cluster.refuses = null;
  world.join("helper");
  expect([world.live, condition(world, "ScaleUpBlocked")?.status]).toEqual([5, "False"]);
  expect(reasons(world).filter((one) => one === "ScaleUpBlocked")).toHaveLength(1);
  expect(reasons(world)).toContain("ScaleUpResumed");
});

test("V25: without demand it is cleared 90 s after the last attempt", () => {
  const world = open({});
  world.cluster.refuses = QUOTA;
  world.cluster.checks = { kind: "ok", uid: "" };
  const id = world.claim();
  world.release(id);
  world.wait(89_000);
  expect(condition(world, "ScaleUpBlocked")?.status).toBe("True");
  world.wait(2_000);
  expect(condition(world, "ScaleUpBlocked")?.status).toBe("False");
});

test("V25: an unanswered creation is repeated under its name", () => {
  const world = open({});
  world.cluster.checks = { kind: "ok", uid: "" };
  world.cluster.refuses = { kind: "lost", message: "no answer" };
  world.claim();
  expect(condition(world, "ScaleUpBlocked")?.reason).toBe("Unavailable");
  world.cluster.refuses = null;
  world.wait(70_000);
  expect(new Set(world.cluster.writes.map(({ name }) => name)).size).toBe(1);
  expect([writes(world, "create"), world.live]).toEqual([2, 1]);
});

test("V26: above the effective maximum workers go at once", () => {
  const world = joined({ slots: 4, minIdle: 2, maxIdle: 0, max: 9, min: 3 });
  expect(world.status().effectiveMaxIdle).toBe(5);
  rescale(world, { min: 0 });
  world.wait(2_000);
  expect(world.live).toBe(1);
});

test("V27: one worker a decay, and a busy moment starts it over", () => {
  const world = joined({ min: 4, maxIdle: 9, decayMs: 60_000 });
  rescale(world, { min: 0, minIdle: 1 });
  world.wait(59_000);
  expect(world.live).toBe(4);
  world.wait(3_000);
  expect(world.live).toBe(3);
  const claims = [world.claim(), world.claim(), world.claim()];
  world.wait(30_000);
  for (const id of claims) world.release(id);
  world.wait(59_000);
  const { live } = world;
  world.wait(3_000);
  expect(world.live).toBe(live - 1);
});

test("V28: the newest on its way, then old templates, then the oldest; never a busy one", () => {
  const world = open({ min: 3, max: 9, maxIdle: 9 });
  const [a = "", b = "", c = ""] = world.names();
  world.join(a, b);
  edit(world, {});
  world.wait(1_000);
  rescale(world, { min: 5 });
  const [d = "", e = ""] = world.names().slice(3);
  world.join(d);
  const busy = world.claims.get(world.claim())?.worker;
  expect(busy).toBe(d);
  const gone: string[] = [];
  for (const min of [4, 3, 2, 1, 0]) {
    const before = world.names();
    rescale(world, { min, minIdle: 0, decayMs: 0 });
    world.wait(1_000);
    rescale(world, { decayMs: 3_600_000 });
    gone.push(...before.filter((name) => !world.names().includes(name)));
  }
  expect(gone.slice(0, 2).toSorted()).toEqual([c, e].toSorted());
  expect(gone[0]).toBe(e);
  expect(new Set(gone.slice(2))).toEqual(new Set([a, b]));
  expect(world.names()).toEqual([d]);
});

test("V29: only the agent's confirmation deletes an idle worker's pod", () => {
  const world = joined({ min: 1, maxIdle: 9, decayMs: 0 });
  const [name = ""] = world.names();
  rescale(world, { min: 0 });
  expect([world.states.get(name), world.live]).toEqual(["NotifyDeleting", 1]);
  expect(world.process.stops.has(name)).toBe(true);
  expect(world.state(world.claim())).toBe("queued");
  world.wait(1_000);
  expect(world.cluster.live.has(name)).toBe(false);
});

test("V29: an agent with work of its own refuses, and is asked again later", () => {
  const world = joined({ min: 1, maxIdle: 9, decayMs: 0 });
  const [name = ""] = world.names();
  world.agent(name).isBusy = true;
  rescale(world, { min: 0 });
  world.wait(1_000);
  expect([world.states.get(name), world.live]).toEqual(["Running", 1]);
  expect(reasons(world)).toContain("StopRefused");
  world.agent(name).isBusy = false;
  world.wait(50_000);
  expect(world.live).toBe(1);
  world.wait(15_000);
  expect(world.live).toBe(0);
});

test("V29: an agent that does not answer in 30 s counts as lost", () => {
  const world = joined({ min: 1, maxIdle: 9, decayMs: 0, killUnknownMs: 60_000 });
  const [name = ""] = world.names();
  world.agent(name).isMute = true;
  rescale(world, { min: 0 });
  world.wait(29_000);
  expect(world.states.get(name)).toBe("NotifyDeleting");
  world.wait(2_000);
  expect(world.states.get(name)).toBe("Lost");
  world.wait(58_000);
  expect(world.live).toBe(1);
  world.wait(3_000);
  expect(world.live).toBe(0);
});

test("V30: a pod that is gone is forgotten after two rounds, one without a row is unknown", () => {
  const world = joined({ min: 2, max: 2, minIdle: 0 });
  const id = world.claim();
  const { worker } = world.claims.get(id) ?? {};
  world.cluster.end(worker ?? "");
  world.settle();
  expect(world.states.get(worker ?? "")).toBe("Lost");
  expect(world.status().size).toBe(2);
  world.wait(19_000);
  expect(world.state(id)).toBe("running");
  world.wait(22_000);
  expect([world.state(id), world.workers.has(worker ?? "")]).toEqual(["lost", false]);
});

test("V30: a worker that reports is kept, and its claim, although a list leaves its pod out", () => {
  const world = joined({ min: 1, max: 1 });
  const [name = ""] = world.names();
  const id = world.claim();
  world.cluster.unlisted.add(name);
  world.wait(300_000);
  expect([world.state(id), world.workers.has(name), writes(world, "delete")]).toEqual([
    "running",
    true,
    0,
  ]);
  // Once it reports no more, the list is believed.
  world.silence(name);
  world.wait(60_000);
  expect([world.state(id), world.workers.has(name)]).toEqual(["lost", false]);
});

test("V31: unknown and lost workers go after their time, and never with 0", () => {
  for (const [killUnknownMs, live] of [
    [5_000, 0],
    [0, 1],
  ] as const) {
    const world = joined({ min: 1, killUnknownMs });
    world.restart();
    world.silence(world.names()[0] ?? "");
    world.wait(5_000);
    expect(world.live).toBe(1);
    rescale(world, { min: 0 });
    world.wait(3_600_000);
    expect(world.live).toBe(live);
  }
});

test("V31: the time that the process slept counts for nothing", () => {
  const world = joined({ min: 1, killUnknownMs: 300_000 });
  const [name = ""] = world.names();
  world.silence(name);
  world.wait(30_000);
  expect(world.states.get(name)).toBe("Lost");
  world.cluster.now += 3_600_000;
  world.mono += 3_600_000;
  world.settle();
  expect(world.names()).toContain(name);
  world.agent(name).isAlive = true;
  world.wait(1_000);
  expect(world.states.get(name)).toBe("Idle");
});

test("V32: finished pods are deleted at once; pods that are being deleted do not count", () => {
  const world = joined({ min: 3 });
  const [failed = "", ended = "", killed = ""] = world.names();
  world.cluster.hasGrace = true;
  world.cluster.setPod(failed, { phase: "Failed" });
  world.cluster.setPod(ended, { phase: "Succeeded" });
  world.cluster.kill(killed);
  world.settle();
  expect([failed, ended, killed].map((name) => world.states.get(name))).toEqual(
    Array(3).fill("Deleting"),
  );
  expect([world.status().size, world.live]).toEqual([3, 3]);
  expect(world.cluster.writes.filter(({ verb }) => verb === "delete")).toHaveLength(2);
});

test("V33, X7: pods that cannot start are replaced, later each time; others stay", () => {
  const world = open({ min: 2, max: 2 }, { pendingTimeoutMs: 60_000 });
  const [stuck = "", waiting = ""] = world.names();
  world.cluster.setPod(stuck, { trouble: { kind: "image", message: "ImagePullBackOff" } });
  world.cluster.setPod(waiting, { trouble: { kind: "unschedulable", message: "0/3 nodes" } });
  world.settle();
  expect(condition(world, "Ready")).toMatchObject({ status: "False", reason: "Unschedulable" });
  world.wait(59_000);
  expect(world.names()).toContain(stuck);
  world.wait(2_000);
  expect(world.names()).not.toContain(stuck);
  const next = world.names().find((name) => name !== waiting) ?? "";
  world.cluster.setPod(next, { trouble: { kind: "image", message: "ImagePullBackOff" } });
  world.wait(119_000);
  expect(world.names()).toContain(next);
  world.wait(3_000);
  expect(world.names()).not.toContain(next);
  expect(world.names()).toContain(waiting);
});

test("V33: a newer template replaces pods that cannot start at once", () => {
  const world = open({ min: 1 });
  const [stuck = ""] = world.names();
  world.cluster.setPod(stuck, { trouble: { kind: "image", message: "no such image" } });
  world.settle();
  edit(world, { template: { metadata: { labels: { fixed: "yes" } } } });
  expect([world.live, world.names().includes(stuck)]).toEqual([1, false]);
});

test("a corrected template replaces pods that never joined, other numbers do not", () => {
  const world = open({ min: 2, max: 4 });
  const [runs = "", waits = ""] = world.names();
  world.cluster.setPod(runs, { phase: "Running" });
  world.cluster.setPod(waits, { trouble: { kind: "unschedulable", message: "0/3 nodes" } });
  world.wait(90_000);
  rescale(world, { min: 3 });
  world.wait(90_000);
  expect(world.names()).toEqual(expect.arrayContaining([runs, waits]));
  edit(world, { template: { metadata: { labels: { fixed: "yes" } } } });
  world.wait(5_000);
  expect(world.names()).not.toContain(runs);
  expect(world.names()).not.toContain(waits);
});

test("a corrected template leaves a pod that has just started the time to join", () => {
  const world = open({ min: 1 });
  const [runs = ""] = world.names();
  world.cluster.setPod(runs, { phase: "Running" });
  world.wait(5_000);
  edit(world, { template: { metadata: { labels: { fixed: "yes" } } } });
  world.wait(30_000);
  expect(world.names()).toContain(runs);
  world.wait(40_000);
  expect(world.names()).not.toContain(runs);
});

test("killUnknownAfterSecond covers workers that never joined; 0 keeps them", () => {
  for (const [killUnknownMs, isKept] of [
    [30_000, false],
    [0, true],
  ] as const) {
    const world = open({ min: 1, killUnknownMs });
    const [runs = ""] = world.names();
    world.cluster.setPod(runs, { phase: "Running" });
    world.wait(27_000);
    expect(world.names()).toContain(runs);
    world.wait(isKept ? 3_600_000 : 6_000);
    expect(world.names().includes(runs)).toBe(isKept);
  }
});

test("a pod that runs is Starting, one that cannot start is PodNotStarting", () => {
  const world = open({ min: 1 });
  const [name = ""] = world.names();
  world.cluster.setPod(name, { phase: "Running" });
  world.settle();
  expect(condition(world, "Ready")).toMatchObject({ reason: "Starting" });
  expect(condition(world, "Ready")?.message).toContain("broker.address");
  world.cluster.setPod(name, { trouble: { kind: "image", message: "ImagePullBackOff" } });
  world.settle();
  expect(condition(world, "Ready")?.reason).toBe("PodNotStarting");
});

test("a pod whose volume names a missing ConfigMap is PodNotStarting after a minute, then made again", () => {
  const world = open({ min: 1 });
  const [name = ""] = world.names();
  world.cluster.setPod(name, { trouble: { kind: "unschedulable", message: "0/3 nodes" } });
  world.wait(3_600_000);
  world.cluster.setPod(name, { trouble: { kind: "mount", message: "volumes are not set up" } });
  world.wait(30_000);
  expect(condition(world, "Ready")?.reason).toBe("Starting");
  expect(world.names()).toContain(name);
  world.wait(40_000);
  expect(condition(world, "Ready")).toMatchObject({ reason: "PodNotStarting" });
  expect(condition(world, "Ready")?.message).toContain("volumes are not set up");
  world.wait(16 * 60_000);
  expect(world.names()).not.toContain(name);
});

test("an unknown field of the template is reported once for a generation, and stops nothing", () => {
  const world = new PoolWorld(anyPool("t", { min: 1 }));
  const unknown = 'unknown field "spec.nodeSelecter"';
  world.cluster.checks = { kind: "ok", uid: "", unknown };
  world.settle();
  world.wait(60_000);
  expect(world.live).toBe(1);
  const told = world.cluster.events.filter(({ reason }) => reason === "UnknownField");
  expect(told.map(({ message }) => message)).toEqual([
    `The API server drops what it does not know of spec.template: ${unknown}`,
  ]);
});

test("V34: claims fill the fullest worker and the lowest slot, and end each in its way", () => {
  const world = joined({ min: 2, max: 2, slots: 2 });
  const [a, b, c] = [world.claim(), world.claim(), world.claim()];
  const place = (id: string) => world.claims.get(id);
  expect(place(a)?.worker).toBe(place(b)?.worker);
  expect([place(a)?.slot, place(b)?.slot, place(c)?.slot]).toEqual([0, 1, 0]);
  world.release(a);
  const d = world.claim(KEY, 5_000);
  expect(place(d)).toMatchObject({ worker: place(b)?.worker, slot: 0 });
  const e = world.claim();
  const f = world.claim(KEY, 2_000);
  expect([world.state(e), world.state(f)]).toEqual(["running", "queued"]);
  world.wait(6_000);
  expect([world.state(d), world.state(f)]).toEqual(["expired", "expired"]);
  world.cluster.setPod(place(e)?.worker ?? "", { phase: "Failed" });
  world.settle();
  expect([world.state(e), world.state(c), world.state(b)]).toEqual(["lost", "lost", "running"]);
  expect(world.status().queuedClaims).toBe(0);
});

test("V34: a silent worker keeps its claims until it is given up", () => {
  const world = joined({ min: 1, killUnknownMs: 60_000 });
  const id = world.claim();
  const name = world.claims.get(id)?.worker ?? "";
  world.silence(name);
  world.wait(60_000);
  expect([world.states.get(name), world.state(id)]).toEqual(["Lost", "running"]);
  world.wait(20_000);
  expect([world.workers.has(name), world.state(id)]).toEqual([false, "lost"]);
});

test("V34: an agent that stops by itself gets no claims", () => {
  const world = joined({ min: 1, max: 1 });
  world.agent(world.names()[0] ?? "").stop = "stopped";
  expect(world.state(world.claim())).toBe("queued");
});

test("V35: a pool whose pods fail at once writes little", () => {
  const world = open({ min: 20, max: 40 });
  for (let i = 0; i < 180; i++) {
    for (const name of world.names()) world.cluster.setPod(name, { phase: "Failed" });
    world.wait(1_000);
  }
  expect(world.broken).toEqual([]);
  expect(world.cluster.writes.length).toBeLessThan(60);
  expect(condition(world, "ScaleUpBlocked")).toMatchObject({ reason: "StartupFailure" });
});

test("V35: growth beyond sixty pods takes its minutes", () => {
  const world = open({ min: 150, max: 150 });
  expect(world.live).toBeLessThanOrEqual(60);
  world.wait(61_000);
  expect(world.live).toBeGreaterThan(100);
  world.wait(61_000);
  expect([world.live, world.broken]).toEqual([150, []]);
});

test("V36: an unhealthy worker takes no claims and goes when it has none", () => {
  const world = joined({ min: 2, max: 3, minIdle: 1, slots: 2 });
  const id = world.claim();
  const name = world.claims.get(id)?.worker ?? "";
  world.agent(name).isFatal = true;
  world.joins = true;
  world.wait(2_000);
  expect(world.claims.get(world.claim())?.worker).not.toBe(name);
  world.wait(60_000);
  expect([world.names().includes(name), world.state(id)]).toEqual([true, "running"]);
  world.release(id);
  world.wait(3_000);
  expect([world.names().includes(name), world.live]).toEqual([false, 2]);
});

test("V40: a worker's own slots count for it", () => {
  const world = open({ min: 1, max: 3, minIdle: 3, maxIdle: 9 });
  expect(world.live).toBe(3);
  world.agent(world.names()[0] ?? "").slots = 4;
  world.join();
  expect(world.status().idleSlots).toBe(6);
  const claims = [world.claim(), world.claim()];
  expect(claims.map((id) => world.state(id))).toEqual(["running", "running"]);
});

test("X10: claims and states outlive a restart", () => {
  const world = joined({ min: 2 });
  const [running] = [world.claim(), world.claim()];
  const queued = world.claim();
  world.restart();
  world.wait(2_000);
  expect([world.state(running ?? ""), world.live]).toEqual(["running", 3]);
  expect(world.state(queued)).toBe("queued");
  world.join();
  expect(world.state(queued)).toBe("running");
});

test("V3: a static pool creates and deletes nothing, and serves what joins", () => {
  const world = open(null);
  world.cluster.addPod("mine", { ownerUid: "t-uid" });
  world.join("mine");
  expect(world.state(world.claim())).toBe("running");
  world.wait(600_000);
  expect([world.cluster.writes, world.live]).toEqual([[], 1]);
});

test("V46: the reason that a pool does not grow is in its conditions", () => {
  const world = open({ max: 1, minIdle: 3 });
  world.join();
  expect(world.cluster.condition(KEY, "AtMax")).toMatchObject({ status: "True" });
  expect(condition(world, "Ready")).toMatchObject({ status: "False", reason: "AtMax" });
  rescale(world, { max: 3 });
  expect(condition(world, "Ready")?.reason).toBe("Starting");
  world.join();
  expect(condition(world, "Ready")?.status).toBe("True");
});

test("a pool that was made again under its name has other workers", () => {
  const world = joined({ min: 2 });
  const id = world.claim();
  const old = world.names();
  world.cluster.hasGrace = true;
  world.cluster.apply({ ...anyPool("t", { min: 1 }), uid: "again" });
  world.wait(30_000);
  expect(old.every((name) => world.cluster.live.get(name)?.isDeleting === false)).toBe(true);
  world.wait(60_000);
  world.cluster.endAll();
  world.wait(60_000);
  expect([world.live, world.workers.size, world.state(id)]).toEqual([1, 1, "lost"]);
});

test("V38: a file's ignored key is told once for a generation, whoever reads it, and by its name", () => {
  const world = joined({ min: 2 });
  const told = () => world.cluster.events.filter(({ reason }) => reason === "ConfigIgnored");
  expect(told()).toEqual([]);
  for (const name of world.names()) world.agent(name).ignored = ["sandbox_config"];
  world.wait(20_000);
  expect(told()).toHaveLength(1);
  expect(told()[0]).toMatchObject({ type: "Warning" });
  for (const word of ["sandbox_config", ...world.names()]) {
    expect(told()[0]?.message).toContain(word);
  }
  // A worker more, or one less, is no news.
  rescale(world, { min: 3 });
  world.join();
  for (const name of world.names()) world.agent(name).ignored = ["sandbox_config"];
  world.wait(20_000);
  expect(told()).toHaveLength(2);
  world.silence(world.names()[0] ?? "");
  world.wait(200_000);
  expect(told()).toHaveLength(2);
});
