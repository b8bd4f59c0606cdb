import { beforeEach, describe, expect, test } from "bun:test";
import { POOL_FINALIZER } from "../../schema/agentpool-resource.ts";
import { openFakeKube } from "../../simulator/cluster/fake.ts";
import type { FakeKube } from "../../simulator/cluster/fake.ts";
import * as say from "../../simulator/cluster/status.ts";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import type { AgentPool, PoolCluster, PoolStatus, WorkerPod } from "../core/agentpool/model.ts";
import { openPoolCluster } from "./cluster.ts";
import { mapsOf } from "./missing-map.ts";

const TEMPLATE = {
  metadata: { labels: { app: "agent", "navarch.dev/pool": "demand" }, generateName: "x-" },
  spec: { containers: [{ name: "agent", image: "agent:1" }], restartPolicy: "Never" },
};
const SCALER = { maxReplicas: 5, minIdle: 1, maxIdle: 3 };
const STATUS: PoolStatus = {
  ...{ size: 2, idleSlots: 1, queuedClaims: 0, effectiveMaxIdle: 3, lastAllocationError: null },
  workers: { Idle: 1, Running: 1 },
  conditions: [{ type: "Ready", status: "True", reason: "Serving", message: "" }],
};
const WORKER = { name: "cpu-abcde", generation: 1 };

let clock: VirtualClock;
let kube: FakeKube;
let lines: string[];

type Json = Record<string, unknown>;

beforeEach(() => {
  clock = new VirtualClock();
  kube = openFakeKube({ clock });
  lines = [];
});

function seedPool(name = "cpu", metadata: Json = {}, spec: Json = {}): string {
  const whole = { autoscaler: SCALER, template: TEMPLATE, ...spec };
  const place = { namespace: "default", generation: 1 };
  const object = kube.seed("agentpools", {
    ...{ apiVersion: "velda.io/v1", kind: "AgentPool" },
    metadata: { ...place, name, ...metadata },
    spec: whole,
  });
  return String((object["metadata"] as Json)["uid"]);
}

async function open(namespaces: string[] = []): Promise<PoolCluster> {
  const cluster = openPoolCluster({
    ...{ api: kube, clock, random: () => 0.5, namespaces, instance: "test" },
    log: (level, msg) => void (level === "debug" || lines.push(msg)),
  });
  cluster.start(() => undefined);
  await clock.pass(100);
  return cluster;
}

function the(cluster: PoolCluster, name = "cpu"): AgentPool {
  const found = cluster.pools().list.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no pool ${name}`);
  return found;
}

/** The promise's value, with the virtual time that it needs. */
async function take<T>(promise: Promise<T>): Promise<T> {
  await clock.pass(60_000);
  return promise;
}

const metaOf = (object: unknown): Json => (object as { metadata: Json }).metadata;
const podNames = (cluster: PoolCluster): string[] => cluster.pods().list.map(({ name }) => name);

test("openPoolCluster lists pools and pods, and knows when both are complete", async () => {
  const uid = seedPool();
  const cluster = openPoolCluster({
    ...{ api: kube, clock, random: () => 0.5, namespaces: [], instance: "test" },
    log: () => undefined,
  });
  expect(cluster.pools()).toMatchObject({ isKnown: false, list: [] });
  let woken = 0;
  cluster.start(() => (woken += 1));
  await clock.pass(100);
  expect(cluster.pools()).toMatchObject({ isKnown: true, dark: null });
  expect(the(cluster)).toMatchObject({ key: "default/cpu", uid, problems: [] });
  expect(the(cluster).scaler).toEqual({
    ...{ min: 0, max: 5, minIdle: 1, maxIdle: 3, decayMs: 60_000, killUnknownMs: 300_000 },
    slots: 1,
  });
  expect(woken).toBeGreaterThan(0);
  cluster.stop();
});

test("V16: create makes the pod with our labels and owner, without the demand label", async () => {
  const uid = seedPool();
  const cluster = await open();
  const answer = await cluster.create(the(cluster), WORKER);
  const pod = kube.get("pods", "default", "cpu-abcde");
  expect(answer).toEqual({ kind: "ok", uid: String(metaOf(pod)["uid"]) });
  expect(metaOf(pod)).toMatchObject({
    name: "cpu-abcde",
    labels: {
      ...{ app: "agent", group: "velda-agent", "navarch.dev/agentpool": "cpu" },
      "navarch.dev/agentpool-generation": "1",
    },
    ownerReferences: [
      {
        ...{ apiVersion: "velda.io/v1", kind: "AgentPool", name: "cpu", uid },
        ...{ controller: true, blockOwnerDeletion: true },
      },
    ],
  });
  expect(metaOf(pod)["labels"]).not.toHaveProperty("navarch.dev/pool");
  expect(pod?.["spec"]).toEqual(TEMPLATE.spec);
  // It is there before the watch tells.
  expect(cluster.pods().list[0]).toMatchObject({ name: "cpu-abcde", ownerUid: uid, generation: 1 });
});

test("V16: a template's own group stays", async () => {
  const template = { ...TEMPLATE, metadata: { labels: { group: "mine" } } };
  seedPool("cpu", {}, { template });
  const cluster = await open();
  await cluster.create(the(cluster), WORKER);
  expect(cluster.pods().list[0]?.labels["group"]).toBe("mine");
});

describe("a pod of the name exists", () => {
  test("V16: it counts as created if the pool owns it", async () => {
    seedPool();
    const cluster = await open();
    const first = await cluster.create(the(cluster), WORKER);
    expect(await cluster.create(the(cluster), WORKER)).toEqual(first);
    expect(kube.list("pods")).toHaveLength(1);
  });

  test("V19: it is refused if it belongs to another pool of the same labels", async () => {
    seedPool();
    seedPool("twin");
    const cluster = await open();
    await cluster.create(the(cluster, "twin"), WORKER);
    expect(await cluster.create(the(cluster), WORKER)).toMatchObject({
      kind: "refused",
      reason: "Unavailable",
      message: expect.stringContaining("cpu-abcde exists already"),
    });
  });
});

test("a creation whose answer is lost is lost, and its repetition finds the pod", async () => {
  seedPool();
  const cluster = await open();
  kube.setFault({ lostAnswers: 1 });
  const first = await take(cluster.create(the(cluster), WORKER));
  expect(first.kind).toBe("lost");
  kube.setFault({ lostAnswers: 0 });
  expect((await take(cluster.create(the(cluster), WORKER))).kind).toBe("ok");
  expect(kube.list("pods")).toHaveLength(1);
});

test("V25: a server error counts as a refusal only if the pod is not there", async () => {
  seedPool();
  const cluster = await open();
  const concerns = ({ verb }: { verb: string }): boolean => verb === "create";
  kube.setFault({ concerns, storms: [{ status: 500, probability: 1 }] });
  expect((await take(cluster.create(the(cluster), WORKER))).kind).toBe("refused");
  kube.setFault({ concerns, storms: [{ status: 500, probability: 1, done: 1 }] });
  expect((await take(cluster.create(the(cluster), WORKER))).kind).toBe("ok");
  expect(kube.list("pods")).toHaveLength(1);
});

test("V18: check judges the template and stores nothing", async () => {
  seedPool();
  const cluster = await open();
  expect((await cluster.check(the(cluster))).kind).toBe("ok");
  expect(kube.list("pods")).toHaveLength(0);
  const invalid = 'Pod "x" is invalid: spec.containers[0].image: Required value';
  kube.admission = () => say.refused(422, "Invalid", invalid);
  expect(await cluster.check(the(cluster))).toMatchObject({
    ...{ kind: "refused", reason: "InvalidTemplate" },
    message: expect.stringContaining("spec.containers[0].image"),
  });
  kube.admission = () => say.refused(403, "Forbidden", 'pods "x" is forbidden: exceeded quota: q');
  expect((await cluster.check(the(cluster))).kind).toBe("ok");
});

describe("delete", () => {
  test("ends the pod of this UID", async () => {
    seedPool();
    const cluster = await open();
    await cluster.create(the(cluster), WORKER);
    const [pod] = cluster.pods().list;
    expect(await cluster.delete(pod as WorkerPod)).toEqual({ kind: "ok" });
    // Without a node, nothing waits for its grace.
    expect(kube.get("pods", "default", "cpu-abcde")).toBeUndefined();
    await clock.pass(100);
    expect(podNames(cluster)).toEqual([]);
  });

  test("leaves a successor of the same name, and a pod that is gone is done", async () => {
    seedPool();
    const cluster = await open();
    await cluster.create(the(cluster), WORKER);
    const pod = { namespace: "default", name: "cpu-abcde" };
    expect(await cluster.delete({ ...pod, uid: "other" })).toEqual({ kind: "ok" });
    expect(metaOf(kube.get("pods", "default", "cpu-abcde"))["deletionTimestamp"]).toBeUndefined();
    expect(await cluster.delete({ ...pod, name: "none", uid: "u" })).toEqual({ kind: "ok" });
  });
});

test("a deletion that a policy refuses is refused, whatever its words", async () => {
  seedPool();
  const cluster = await open();
  await cluster.create(the(cluster), WORKER);
  const [pod] = cluster.pods().list;
  const message = "pods are kept: the UID is under legal hold";
  kube.admission = () => say.refused(403, "Forbidden", message);
  expect(await cluster.delete(pod as WorkerPod)).toMatchObject({ kind: "refused" });
  expect(kube.get("pods", "default", "cpu-abcde")).toBeDefined();
});

describe("pods()", () => {
  const seedPod = (name: string, metadata: Json): void =>
    void kube.seed("pods", { metadata: { name, namespace: "default", ...metadata }, spec: {} });

  test("A6: shows a pod that a hand wrote the pool's reference on, without our label", async () => {
    const uid = seedPool();
    const owner = { apiVersion: "velda.io/v1", kind: "AgentPool", name: "cpu", uid };
    seedPod("rogue", { labels: { app: "agent" }, ownerReferences: [owner] });
    seedPod("job", { ownerReferences: [{ ...owner, kind: "Job", controller: true }] });
    const cluster = await open();
    expect(cluster.pods().list).toMatchObject([
      { name: "rogue", ownerUid: uid, generation: null, phase: "Running" },
    ]);
  });

  test("V19: shows pods without an owner only where a pool adopts", async () => {
    seedPool();
    seedPod("free", { labels: { app: "agent" } });
    const cluster = await open();
    expect(podNames(cluster)).toEqual([]);
    const version = cluster.pods().version;
    seedPool("taker", { annotations: { "navarch.dev/adopt": "true" } });
    await clock.pass(100);
    expect(podNames(cluster)).toEqual(["free"]);
    expect(cluster.pods().version).toBeGreaterThan(version);
  });

  test("drops a pod that another controller took over", async () => {
    const uid = seedPool();
    const owner = { apiVersion: "velda.io/v1", kind: "AgentPool", name: "cpu", uid };
    seedPod("rogue", { ownerReferences: [owner] });
    const cluster = await open();
    const other = { apiVersion: "batch/v1", kind: "Job", name: "j", uid: "j", controller: true };
    kube.person.edit("pods", "default", "rogue", { metadata: { ownerReferences: [other] } });
    await clock.pass(100);
    expect(podNames(cluster)).toEqual([]);
  });
});

describe("namespaces", () => {
  test("V9: only those of the list are served", async () => {
    seedPool("a", { namespace: "velda" });
    seedPool("b", { namespace: "lab" });
    seedPool("c", { namespace: "default" });
    const cluster = await open(["velda", "lab"]);
    expect(cluster.pools().list.map(({ key }) => key)).toEqual(["velda/a", "lab/b"]);
  });

  test("V9: a pool outside gets one NotWatched event", async () => {
    seedPool("c", { namespace: "default" });
    await open(["velda"]);
    await clock.pass(300_000);
    expect(kube.list("events")).toMatchObject([
      {
        ...{ type: "Warning", reason: "NotWatched" },
        regarding: { apiVersion: "velda.io/v1", kind: "AgentPool", name: "c" },
        note: expect.stringContaining("has only velda"),
      },
    ]);
  });

  test("V9: nothing is tried without the permission to list all", async () => {
    kube.denied.add("list agentpools");
    seedPool("c", { namespace: "default" });
    await open(["velda"]);
    await clock.pass(300_000);
    expect(kube.list("events")).toEqual([]);
    expect(kube.asked.get("create selfsubjectaccessreviews")).toBeGreaterThan(1);
  });
});

describe("status", () => {
  const writes = (): number =>
    kube.journal.filter(({ resource }) => resource === "agentpools/status").length;
  const shown = (): Json => kube.get("agentpools", "default", "cpu")?.["status"] as Json;
  const conditionOf = (status: Json): Json => (status["conditions"] as Json[])[0] ?? {};

  test("V46: is written with the generation and the time of each transition", async () => {
    seedPool();
    const cluster = await open();
    cluster.show(the(cluster), STATUS);
    await clock.pass(10);
    const first = conditionOf(shown())["lastTransitionTime"];
    expect(shown()).toMatchObject({
      ...{ observedGeneration: 1, size: 2, idleSlots: 1, queuedClaims: 0 },
      ...{ workers: { Pending: 0, Idle: 1, Running: 1 }, effective: { maxIdle: 3 } },
    });
    await clock.pass(5_000);
    const [ready] = STATUS.conditions;
    if (ready === undefined) throw new Error("no condition");
    cluster.show(the(cluster), { ...STATUS, conditions: [{ ...ready, message: "again" }] });
    await clock.pass(10);
    expect(conditionOf(shown())).toMatchObject({ message: "again", lastTransitionTime: first });
    await clock.pass(5_000);
    cluster.show(the(cluster), { ...STATUS, conditions: [{ ...ready, status: "False" }] });
    await clock.pass(10);
    expect(conditionOf(shown())["lastTransitionTime"]).not.toBe(first);
    expect(kube.get("agentpools", "default", "cpu")?.["spec"]).toEqual({
      ...{ autoscaler: SCALER, template: TEMPLATE },
    });
  });

  test("V46: one write a second for each pool at most, only on change; the last wins", async () => {
    seedPool();
    seedPool("other");
    const cluster = await open();
    for (let i = 0; i < 100; i += 1) {
      cluster.show(the(cluster), { ...STATUS, size: i });
      if (i === 50) cluster.show(the(cluster, "other"), STATUS);
      await clock.pass(100);
    }
    await clock.pass(2_000);
    expect(shown()["size"]).toBe(99);
    expect(kube.get("agentpools", "default", "other")?.["status"]).toMatchObject({ size: 2 });
    expect(writes()).toBeLessThanOrEqual(13);
    const before = writes();
    for (let i = 0; i < 20; i += 1) {
      cluster.show(the(cluster), { ...STATUS, size: 99 });
      await clock.pass(1_000);
    }
    expect(writes()).toBe(before);
  });

  test("V46: what fails is repeated, and a new process does not repeat what is shown", async () => {
    seedPool();
    const cluster = await open();
    kube.admission = () => say.refused(429, "TooManyRequests", "later");
    cluster.show(the(cluster), STATUS);
    await clock.pass(60_000);
    kube.admission = () => null;
    expect(writes()).toBe(0);
    await clock.pass(120_000);
    expect(writes()).toBe(1);
    cluster.stop();
    const next = await open();
    next.show(the(next), STATUS);
    await clock.pass(5_000);
    expect(writes()).toBe(1);
  });

  test("V46: what another writer changed is shown again", async () => {
    seedPool();
    const cluster = await open();
    cluster.show(the(cluster), STATUS);
    await clock.pass(5_000);
    kube.person.edit("agentpools", "default", "cpu", { status: { size: 77 } }, { sub: "status" });
    await clock.pass(1_000);
    cluster.show(the(cluster), STATUS);
    await clock.pass(40_000);
    expect(shown()["size"]).toBe(2);
  });

  test("V14: the status of a pool that was made again is not the old one's", async () => {
    seedPool();
    const cluster = await open();
    const old = { ...the(cluster), uid: "before" };
    cluster.show(old, STATUS);
    await clock.pass(5_000);
    expect(writes()).toBe(0);
  });
});

test("V47: events are on the AgentPool and counted", async () => {
  const uid = seedPool();
  const cluster = await open();
  for (const name of ["a", "b"]) {
    cluster.tell(the(cluster), { type: "Normal", reason: "Created", message: `worker ${name}` });
  }
  await clock.pass(120_000);
  expect(kube.list("events")).toMatchObject([
    {
      ...{ type: "Normal", reason: "Created", note: "worker b", series: { count: 2 } },
      regarding: { apiVersion: "velda.io/v1", kind: "AgentPool", namespace: "default", uid },
    },
  ]);
});

describe("V50: a ConfigMap that the template names", () => {
  const configMap = { name: "velda-config" };
  const volumes = [
    { name: "a", configMap },
    { name: "b", configMap: { name: "extra", optional: true } },
  ];
  const template = { ...TEMPLATE, spec: { ...TEMPLATE.spec, volumes } };
  const wait = async (): Promise<void> => {
    seedPool("cpu", {}, { template });
    const cluster = await open();
    await cluster.create(the(cluster), WORKER);
    const status = { phase: "Pending" };
    kube.person.edit("pods", "default", WORKER.name, { status }, { sub: "status" });
    await clock.pass(120_000);
  };

  test("is told while pods wait for it", async () => {
    await wait();
    expect(kube.list("events")).toMatchObject([
      { type: "Warning", reason: "ConfigMapNotFound", note: expect.stringContaining("velda-") },
    ]);
  });

  test("is not told where it is there, or where no pod waits", async () => {
    kube.seed("configmaps", { metadata: configMap });
    await wait();
    seedPool("idle", {}, { template: { ...TEMPLATE, spec: { volumes: [{ configMap: {} }] } } });
    await clock.pass(120_000);
    expect(kube.list("events")).toEqual([]);
  });
});

describe("hold", () => {
  const finalizers = (): unknown =>
    metaOf(kube.get("agentpools", "default", "cpu"))["finalizers"] ?? [];

  test("V21: adds our finalizer beside others', and removes only ours", async () => {
    seedPool("cpu", { finalizers: ["a.test/x"] });
    const cluster = await open();
    expect(await cluster.hold(the(cluster), true)).toEqual({ kind: "ok" });
    expect(finalizers()).toEqual(["a.test/x", POOL_FINALIZER]);
    expect(the(cluster).hasFinalizer).toBe(true);
    expect(await cluster.hold(the(cluster), true)).toEqual({ kind: "ok" });
    expect(await cluster.hold(the(cluster), false)).toEqual({ kind: "ok" });
    expect(finalizers()).toEqual(["a.test/x"]);
  });

  test("V21: a race with another writer is repeated on the new version", async () => {
    seedPool();
    const cluster = await open();
    const old = the(cluster);
    kube.person.edit("agentpools", "default", "cpu", { metadata: { labels: { a: "b" } } });
    expect(await cluster.hold(old, true)).toEqual({ kind: "ok" });
    expect(finalizers()).toEqual([POOL_FINALIZER]);
  });

  test("V22: another object of the name is left alone", async () => {
    seedPool("cpu", { finalizers: [POOL_FINALIZER] });
    const cluster = await open();
    const old = { ...the(cluster), uid: "before" };
    expect(await cluster.hold(old, false)).toEqual({ kind: "ok" });
    expect(await cluster.hold(old, true)).toMatchObject({ kind: "refused" });
    expect(finalizers()).toEqual([POOL_FINALIZER]);
  });
});

test("V50: the ConfigMaps that a template needs are those that are not optional", () => {
  const named = (name: unknown, more: Json = {}) => ({ configMap: { name, ...more } });
  const volumes = [
    { name: "a", ...named("velda-config") },
    { name: "b", ...named("maybe", { optional: true }) },
    { name: "c", projected: { sources: [named("projected"), { secret: { name: "s" } }] } },
  ];
  const env = [{ name: "E", valueFrom: { configMapKeyRef: { name: "key", key: "k" } } }];
  const envFrom = [{ configMapRef: { name: "velda-config" } }, { configMapRef: { name: 7 } }];
  const containers = [{ name: "agent", image: "agent:1", env, envFrom }];
  expect(mapsOf({ spec: { containers, volumes } })).toEqual(["velda-config", "projected", "key"]);
  for (const odd of [{}, { spec: 7 }, { spec: { volumes: [null, 7], containers: "x" } }]) {
    expect(mapsOf(odd)).toEqual([]);
  }
});
