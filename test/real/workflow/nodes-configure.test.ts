/**
 * The other parts of Configure, and UpdateNodes, on a real API server with its controllers: what is
 * there already, what is being deleted, what may not change, and what `-cleanup` may remove.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";
import { openRun, type TestRun } from "./run.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: Configure on a real API server: ${missing}`);

let cluster: Cluster;
let ours: TestRun;

beforeAll(async () => {
  if (missing !== null) return;
  cluster = await openCluster();
  ours = await openRun(cluster);
}, 300_000);
afterAll(async () => {
  if (missing !== null) return;
  expect(await cluster.close()).toEqual([]);
}, 60_000);

type Kube = {
  metadata: { uid: string; deletionTimestamp?: string; labels?: Record<string, string> };
  value?: number;
  data?: Record<string, string>;
};

const configure = (params: object, by = ours): Promise<void> =>
  by.task("Configure", { timeout: "30s", ...params });
const get = (path: string): Promise<Kube> => cluster.json<Kube>(path);
const statusOf = async (path: string): Promise<number> => (await cluster.request(path)).status;
const noted = (by = ours): string[] => by.run.made.all().map(({ path }) => path);

const CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses";
const ranked = (name: string, value: number) => {
  return { priorityClasses: [{ name, value, op: "create" }] };
};

describe.skipIf(missing !== null)("Configure", () => {
  test("W31: a configmap may be meant for a namespace of the same task; twice is once", async () => {
    const both = {
      namespaces: [{ name: "fresh", op: "create" }],
      configmaps: [{ name: "settings", namespace: "fresh", data: { a: 1, b: true }, op: "create" }],
    };
    await configure(both);
    const first = await get("/api/v1/namespaces/fresh");
    await configure(both);
    expect((await get("/api/v1/namespaces/fresh")).metadata.uid).toBe(first.metadata.uid);
    const path = "/api/v1/namespaces/fresh/configmaps/settings";
    expect((await get(path)).data).toEqual({ a: "1", b: "true" });
    expect(noted()).toEqual([path, "/api/v1/namespaces/fresh"]);
  }, 60_000);

  test("W31: a configmap that is there gets the new data alone, and is not ours", async () => {
    await cluster.kubectl("create", "configmap", "theirs", "--from-literal=old=1");
    await cluster.kubectl("label", "configmap", "theirs", "owner=people");
    const item = { name: "theirs", namespace: "default", data: { new: "2" }, op: "create" };
    await configure({ configmaps: [item] });
    const found = await get("/api/v1/namespaces/default/configmaps/theirs");
    expect([found.data, found.metadata.labels]).toEqual([{ new: "2" }, { owner: "people" }]);
    expect(noted().join()).not.toContain("theirs");
  }, 30_000);

  test("W31: a namespace that is being deleted is waited for, then made", async () => {
    await configure({ namespaces: [{ name: "fresh", op: "delete" }] });
    const before = await cluster.request("/api/v1/namespaces/fresh");
    const leaving = before.ok ? ((await before.json()) as Kube) : null;
    await configure({ namespaces: [{ name: "fresh", op: "create" }] });
    const after = await get("/api/v1/namespaces/fresh");
    expect(after.metadata.deletionTimestamp).toBeUndefined();
    expect(after.metadata.uid).not.toBe(leaving?.metadata.uid ?? "gone");
    await configure({ namespaces: [{ name: "fresh", op: "delete" }] });
    await configure({ namespaces: [{ name: "never-was", op: "delete" }] });
    expect(noted()).not.toContain("/api/v1/namespaces/fresh");
  }, 60_000);

  test("W31: a PriorityClass keeps its value, or is replaced with its other fields", async () => {
    await configure(ranked("mine", 10));
    const { uid } = (await get(`${CLASSES}/mine`)).metadata;
    await configure(ranked("mine", 10));
    expect((await get(`${CLASSES}/mine`)).metadata.uid).toBe(uid);
    await configure(ranked("mine", 20));
    expect((await get(`${CLASSES}/mine`)).value).toBe(20);
    expect(noted()).toContain(`${CLASSES}/mine`);

    const args = ["--value=5", "--description=theirs", "--preemption-policy=Never"];
    await cluster.kubectl("create", "priorityclass", "theirs", ...args);
    await configure(ranked("theirs", 6));
    expect(await get(`${CLASSES}/theirs`)).toMatchObject({
      value: 6,
      description: "theirs",
      preemptionPolicy: "Never",
    } as object);
    expect(noted()).not.toContain(`${CLASSES}/theirs`);
    expect(ours.lines.at(-2)).toBe(
      "warning: PriorityClass theirs had the value 5: it is replaced by one with 6, which stays",
    );
    await configure({ priorityClasses: [{ name: "mine", op: "delete" }] });
    expect(await statusOf(`${CLASSES}/mine`)).toBe(404);
    expect(noted()).not.toContain(`${CLASSES}/mine`);
  }, 30_000);

  test("W31: a refusal of the server names the object and stops the other parts", async () => {
    const bad = { priorityClasses: [{ name: "system-mine", value: 1, op: "create" }] };
    const slow = { namespaces: [{ name: "Not A Name", op: "create" }] };
    await expect(configure(bad)).rejects.toThrow(/^failed to create PriorityClass system-mine: /);
    await expect(configure(slow)).rejects.toThrow(/^failed to create namespace Not A Name: /);
    expect(noted().join()).not.toContain("system-mine");
  }, 30_000);

  test("W31: deployments restart by name or labels, and the rollout is waited for", async () => {
    await cluster.addNodes(1);
    const image = "--image=registry.test/app:1";
    await cluster.kubectl("create", "deployment", "web", image, "--replicas=2");
    const path = "/apis/apps/v1/namespaces/default/deployments/web";
    type Deployment = {
      spec: { template: { metadata: { annotations?: Record<string, string> } } };
      status: { updatedReplicas?: number; availableReplicas?: number; replicas?: number };
    };
    const restart = (item: object) =>
      configure({ deploymentRestarts: [{ namespace: "default", ...item }] });
    await restart({ name: "web" });
    const { spec, status } = await cluster.json<Deployment>(path);
    const key = "kubectl.kubernetes.io/restartedAt";
    const first = spec.template.metadata.annotations?.[key] ?? "";
    expect(Date.parse(first)).toBeGreaterThan(0);
    expect(status).toMatchObject({ replicas: 2, updatedReplicas: 2, availableReplicas: 2 });
    await restart({ labels: { app: "web" } });
    const second = await cluster.json<Deployment>(path);
    expect(second.spec.template.metadata.annotations?.[key]).not.toBe(first);

    await restart({ labels: { app: "none" } });
    expect(ours.lines.at(-1)).toBe(
      "warning: no deployment has the labels app=none: nothing is restarted",
    );
    await cluster.kubectl("create", "deployment", "web2", image);
    await cluster.kubectl("label", "deployment", "web", "web2", "tier=front");
    await expect(restart({ labels: { tier: "front" } })).rejects.toThrow(
      "expected 1 deployment with labels tier=front, not 2",
    );
    await expect(restart({ name: "gone" })).rejects.toThrow("failed to restart deployment");
    await cluster.kubectl("rollout", "pause", "deployment/web2");
    await expect(restart({ name: "web2" })).rejects.toThrow("it is paused");
  }, 120_000);

  test("W31: the time limit names what it waited for", async () => {
    await cluster.kubectl("create", "deployment", "stuck", "--image=registry.test/app:1");
    await cluster.kubectl("set", "resources", "deployment/stuck", "--requests=cpu=10k");
    const started = performance.now();
    const late = configure({
      deploymentRestarts: [{ namespace: "default", name: "stuck" }],
      timeout: "2s",
    });
    const words =
      /^context deadline exceeded: waiting for the rollout of deployment default\/stuck/;
    await expect(late).rejects.toThrow(words);
    expect(performance.now() - started).toBeLessThan(5_000);
  }, 30_000);
});

type Node = {
  metadata: { name: string; labels: Record<string, string> };
  spec: { unschedulable?: boolean };
  status: {
    conditions: { type: string; status: string }[];
    capacity: Record<string, string>;
  };
};

describe.skipIf(missing !== null)("UpdateNodes", () => {
  const list = async (): Promise<Node[]> =>
    (await cluster.json<{ items: Node[] }>("/api/v1/nodes?labelSelector=type%3Dkwok")).items;
  const update = (selectors: object[], state: object) =>
    ours.task("UpdateNodes", { selectors, state }, "u");

  test("W32: patches metadata, spec and status of nodes that match one of the selectors", async () => {
    const entry = (rack: string) => ({ type: "dgxh100.80g", count: 2, labels: { rack } });
    await configure({ nodes: [entry("a"), entry("b"), entry("c")] });
    const disk = { type: "DiskPressure", status: "True", reason: "Full", message: "full" };
    await update([{ rack: "a" }, { rack: "b", type: "kwok" }], {
      metadata: { labels: { "net-optimal": true, rack: null } },
      spec: { unschedulable: true },
      status: { conditions: [disk], capacity: { "nvidia.com/gpu": "7" } },
    });
    const nodes = await list();
    const changed = nodes.filter(({ spec }) => spec.unschedulable === true);
    expect(changed.length).toBe(4);
    for (const { metadata, status } of changed) {
      const { "net-optimal": net, rack } = metadata.labels;
      expect([net, rack]).toEqual(["true", undefined]);
      expect(status.capacity["nvidia.com/gpu"]).toBe("7");
      // The other conditions stay: a list in a merge patch would have replaced them.
      expect(status.conditions.find(({ type }) => type === "DiskPressure")?.status).toBe("True");
      expect(status.conditions.find(({ type }) => type === "Ready")?.status).toBe("True");
    }
    const others = nodes.filter(({ metadata }) => metadata.labels["rack"] === "c");
    expect(others.map(({ status }) => status.capacity["nvidia.com/gpu"])).toEqual(["8", "8"]);
    await configure({ nodes: [] });
  }, 60_000);

  test("W32: no match is a warning, and a refusal names the node", async () => {
    await update([{ rack: "nowhere" }], { spec: { unschedulable: true } });
    expect(ours.lines.at(-1)).toBe("warning: UpdateNodes/u: no node matches rack=nowhere");
    await configure({ nodes: [{ type: "dgxh100.80g", count: 1 }] });
    const [node] = await list();
    const bad = update([{ type: "kwok" }], { spec: { providerID: "kwok://another" } });
    await expect(bad).rejects.toThrow(`failed to update node ${node?.metadata.name}: `);
    const misspelt = update([{ type: "kwok" }], { spec: { unschedulabel: true } });
    await expect(misspelt).rejects.toThrow('unknown field "spec.unschedulabel"');
    const capacities = update([{ type: "kwok" }], { status: { capacities: { cpu: 1 } } });
    await expect(capacities).rejects.toThrow('unknown field "status.capacities"');
    await configure({ nodes: [] });
  }, 30_000);
});
