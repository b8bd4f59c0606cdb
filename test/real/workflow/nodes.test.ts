/**
 * Virtual nodes on a real API server with the real KWOK and the stages that the product ships:
 * presets, names, what is deleted and what is not, two runs at once, lost replies.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { KubeApi } from "../../../reconciler/kubernetes/api.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";
import { openRun, type TestRun } from "./run.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: virtual nodes on a real API server: ${missing}`);

type Node = {
  metadata: {
    name: string;
    uid: string;
    labels: Record<string, string>;
    annotations: Record<string, string>;
  };
  spec: { unschedulable?: boolean; taints?: { key: string }[]; providerID?: string };
  status: {
    capacity: Record<string, string>;
    allocatable: Record<string, string>;
    conditions: { type: string; status: string; reason: string; message: string }[];
  };
};

let cluster: Cluster;
let ours: TestRun;

beforeAll(async () => {
  if (missing !== null) return;
  cluster = await openCluster({ stages: "shipped" });
  ours = await openRun(cluster);
}, 300_000);
afterAll(async () => {
  if (missing !== null) return;
  expect(await cluster.close()).toEqual([]);
}, 60_000);

async function nodes(): Promise<Node[]> {
  const { items } = await cluster.json<{ items: Node[] }>(
    "/api/v1/nodes?labelSelector=type%3Dkwok",
  );
  return items;
}

const configure = (list: unknown[], by = ours): Promise<void> =>
  by.task("Configure", { nodes: list, timeout: "1m" });

const byName = (list: Node[]): string[] => list.map(({ metadata }) => metadata.name).sort();

const CPU = {
  type: "cpu.x86",
  count: 1,
  resources: {
    "hugepages-1Gi": 0,
    "hugepages-2Mi": 0,
    pods: 110,
    cpu: 48,
    memory: "196692052Ki",
    "ephemeral-storage": "2537570228Ki",
  },
};
const DEADLOCK = {
  type: "KernelDeadlock",
  status: "False",
  reason: "KernelHasNoDeadlock",
  message: "kernel: no deadlock",
};
const PRESETS = [
  { type: "dgxa100.40g", count: 1 },
  { type: "dgxa100.80g", count: 1, conditions: [DEADLOCK] },
  { type: "dgxh100.80g", count: 1, labels: { "nvidia.com/gpu.count": 8, "net-optimal": true } },
  CPU,
];

const DGX = { pods: "110", "hugepages-1Gi": "0", "hugepages-2Mi": "0" };
const GPUS = { "nvidia.com/gpu": "8", "nvidia.com/mlnxnics": "16" };

describe.skipIf(missing !== null)("virtual nodes", () => {
  test("W35 W36 W37: Configure makes the preset types and a custom one", async () => {
    await configure(PRESETS);
    const made = await nodes();
    const capacities = made.map(({ metadata, status }) => {
      expect(status.allocatable).toEqual(status.capacity);
      return [metadata.name.split("-")[1], status.capacity] as const;
    });
    expect(Object.fromEntries(capacities)).toEqual({
      "cpu.x86": { ...DGX, cpu: "48", memory: "196692052Ki", "ephemeral-storage": "2537570228Ki" },
      "dgxa100.40g": { ...DGX, ...GPUS, cpu: "256", memory: "1Ti", "ephemeral-storage": "15Ti" },
      "dgxa100.80g": { ...DGX, ...GPUS, cpu: "256", memory: "2Ti", "ephemeral-storage": "30Ti" },
      "dgxh100.80g": { ...DGX, ...GPUS, cpu: "224", memory: "2Ti", "ephemeral-storage": "30Ti" },
    });
    const labels = made.find(({ metadata }) => metadata.name.includes("dgxh100"))?.metadata.labels;
    expect(labels).toMatchObject({ "nvidia.com/gpu.count": "8", "net-optimal": "true" });
    expect(ours.lines.filter((line) => line.startsWith("warning"))).toEqual([]);
  }, 60_000);

  test("W34: annotations, labels, provider id and conditions are those of the contract", async () => {
    const node = (await nodes()).find(({ metadata }) => metadata.name.includes("dgxa100.80g"));
    const name = node?.metadata.name ?? "";
    expect(name).toMatch(/^virtual-dgxa100\.80g-[a-z0-9]{6}$/);
    expect(node?.metadata.annotations).toMatchObject({
      "node.alpha.kubernetes.io/ttl": "0",
      "kwok.x-k8s.io/node": "fake",
    });
    expect(node?.metadata.labels).toEqual({
      "beta.kubernetes.io/arch": "amd64",
      "beta.kubernetes.io/os": "linux",
      "kubernetes.io/arch": "amd64",
      "kubernetes.io/hostname": name,
      "kubernetes.io/os": "linux",
      "kubernetes.io/role": "agent",
      "navarch.dev/nodeset": "virtual-nodes",
      "node-role.kubernetes.io/agent": "",
      type: "kwok",
    });
    expect(node?.spec.providerID).toBe(`kwok://${name}`);
    expect(node?.status.conditions).toContainEqual(expect.objectContaining(DEADLOCK));
  });

  test("W34: no taint stays but the one that was asked for", async () => {
    const taints = async () => {
      const all = (await nodes()).flatMap(({ spec }) => spec.taints ?? []);
      return [...new Set(all.map(({ key }) => key))];
    };
    // The API server's own taint of a new Node goes once the node controller has seen it.
    await eventually(async () => expect(await taints()).toEqual([]));
    const tainted = await openRun(cluster, { taints: true });
    await configure(PRESETS, tainted);
    expect(await taints()).toEqual(["kwok.x-k8s.io/node"]);
    await configure(PRESETS);
    expect(await taints()).toEqual([]);
  }, 30_000);

  test("W39: a second run keeps every node", async () => {
    const before = (await nodes()).map(({ metadata }) => metadata.uid).sort();
    const calls = await audited(() => configure(PRESETS));
    expect(calls.map(({ verb }) => verb)).toEqual(["list"]);
    expect((await nodes()).map(({ metadata }) => metadata.uid).sort()).toEqual(before);
  }, 30_000);

  test("W39: surplus nodes go, missing ones come, the rest keeps its names", async () => {
    const wide = { type: "dgxh100.80g", count: 5, labels: { rack: "a" } };
    await configure([wide]);
    const five = byName(await nodes());
    await configure([{ ...wide, count: 3 }]);
    const three = byName(await nodes());
    expect(three.length).toBe(3);
    expect(five).toEqual(expect.arrayContaining(three));
    await configure([{ ...wide, count: 5 }]);
    expect(byName(await nodes())).toEqual(five);
  }, 60_000);

  test("W40: entries of one type are distinct, and keep their nodes when one goes", async () => {
    const rack = (name: string, count: number) => {
      return { type: "dgxh100.80g", count, labels: { rack: name } };
    };
    await configure([rack("a", 2), rack("b", 3)]);
    const inRack = async (name: string) =>
      byName((await nodes()).filter(({ metadata }) => metadata.labels["rack"] === name));
    const [a, b] = [await inRack("a"), await inRack("b")];
    expect([a.length, b.length]).toEqual([2, 3]);
    await configure([rack("b", 3), rack("a", 2)]);
    expect([await inRack("a"), await inRack("b")]).toEqual([a, b]);
    await configure([rack("b", 3)]);
    expect([await inRack("a"), await inRack("b")]).toEqual([[], b]);
    await configure([rack("b", 3), rack("c", 4)]);
    expect(await inRack("b")).toEqual(b);
    expect((await inRack("c")).length).toBe(4);
  }, 60_000);

  test("W39: a changed entry is patched in place; what others wrote stays", async () => {
    const entry = { type: "dgxh100.80g", count: 2, labels: { rack: "a", zone: "z" } };
    await configure([entry]);
    const uids = (await nodes()).map(({ metadata }) => metadata.uid).sort();
    const [first] = byName(await nodes());
    await cluster.kubectl("label", "node", first ?? "", "people=mine");
    await cluster.kubectl("cordon", first ?? "");
    const hung = { ...DEADLOCK, status: "True", message: 'a: "quoted" #text' };
    const changed = {
      ...entry,
      labels: { rack: "b" },
      annotations: { why: 7 },
      conditions: [hung],
    };
    await configure([{ ...changed, resources: { "rdma/hca": 8 } }]);
    const after = await nodes();
    expect(after.map(({ metadata }) => metadata.uid).sort()).toEqual(uids);
    for (const { metadata, status } of after) {
      expect(metadata.labels).toMatchObject({ rack: "b" });
      expect(metadata.labels["zone"]).toBeUndefined();
      expect(metadata.annotations["why"]).toBe("7");
      expect(status.conditions).toContainEqual(expect.objectContaining(hung));
      expect(status.conditions.find(({ type }) => type === "Ready")?.status).toBe("True");
      expect([status.capacity["rdma/hca"], status.allocatable["rdma/hca"]]).toEqual(["8", "8"]);
    }
    const kept = after.find(({ metadata }) => metadata.name === first);
    expect([kept?.metadata.labels["people"], kept?.spec.unschedulable]).toEqual(["mine", true]);
    expect(ours.lines.at(-1)).toContain("1 kept virtual node is cordoned");
    await configure([entry]);
    const back = (await nodes()).map(({ status }) => status);
    expect(back.map(({ capacity }) => capacity["rdma/hca"])).toEqual([undefined, undefined]);
    expect(JSON.stringify(back)).not.toContain("KernelDeadlock");
  }, 60_000);

  test("W8 W39: a node that becomes one of another entry counts as made by the run", async () => {
    const entry = { type: "dgxh100.80g", count: 2, labels: { rack: "a" } };
    await configure([entry]);
    const later = await openRun(cluster, { manager: "later" });
    await configure([entry], later);
    expect(later.run.made.all()).toEqual([]);
    await configure([{ ...entry, labels: { rack: "b" } }], later);
    const noted = later.run.made.all().map(({ path, uid }) => [path.slice(14), uid]);
    const made = (await nodes()).map(({ metadata }) => [metadata.name, metadata.uid]);
    expect(noted.sort()).toEqual(made.sort());
  }, 30_000);

  test("W39: only nodes with the set's label are deleted", async () => {
    await cluster.json("/api/v1/nodes", { method: "POST", body: OTHER });
    await configure([]);
    expect(byName(await nodes())).toEqual(["other"]);
    await ours.task("Configure", { timeout: "10s" });
    expect(byName(await nodes())).toEqual(["other"]);
    await cluster.kubectl("delete", "node", "other");
  }, 30_000);

  test("W38: two runs at once end with one set", async () => {
    const [a, b] = [
      await openRun(cluster, { manager: "a" }),
      await openRun(cluster, { manager: "b" }),
    ];
    const list = [
      { type: "dgxh100.80g", count: 60 },
      { type: "dgxa100.40g", count: 40 },
    ];
    await Promise.all([configure(list, a), configure(list, b)]);
    const made = byName(await nodes());
    expect(made.length).toBe(100);
    // Each node is on the list of one of the two for `-cleanup`, of none twice.
    const noted = [a, b].flatMap(({ run }) => run.made.all().map(({ path }) => path.slice(14)));
    expect(noted.sort()).toEqual(made);
  }, 60_000);

  test("W38: a create whose reply was lost is found, and is this run's", async () => {
    await configure([]);
    let lost = 0;
    const lossy = (api: KubeApi): KubeApi => ({
      ...wrap(api),
      async call(request) {
        const answer = await api.call(request);
        if (request.verb !== "create" || lost >= 3) return answer;
        lost += 1;
        return { kind: "lost", message: "reply lost by the test" };
      },
    });
    const lossyRun = await openRun(cluster, { manager: "lossy", around: lossy });
    await configure([{ type: "dgxh100.80g", count: 5 }], lossyRun);
    expect(lost).toBe(3);
    expect(byName(await nodes()).length).toBe(5);
    const noted = lossyRun.run.made.all();
    expect(noted.map(({ uid }) => typeof uid)).toEqual(Array.from({ length: 5 }, () => "string"));
  }, 60_000);

  test("W38: an API server that goes away and comes back costs time and no node", async () => {
    await configure([]);
    const away = configure([{ type: "dgxh100.80g", count: 400 }]);
    await Bun.sleep(150);
    await cluster.stopApiserver();
    await cluster.startApiserver();
    await away;
    const made = byName(await nodes());
    expect(made.length).toBe(400);
    const noted = ours.run.made.all().map(({ path, uid }) => [path.slice(14), typeof uid]);
    expect(noted.sort()).toEqual(made.map((name) => [name, "string"]));
    await configure([]);
    expect(ours.run.made.all()).toEqual([]);
  }, 120_000);

  test("W38: without the right to create, one line says who may not do what", async () => {
    const settings = { enabled: true, kubeconfig: cluster.kubeconfig("product"), context: null };
    const product = await openRun(cluster, { settings });
    await expect(configure([{ type: "dgxh100.80g", count: 1 }], product)).rejects.toThrow(
      /^failed to create node virtual-dgxh100.80g-\w{6}: nodes is forbidden: User "/,
    );
    expect(product.run.made.all()).toEqual([]);
  }, 30_000);

  test("W38: a Node of the name that is not of the set is left alone, and named", async () => {
    await configure([{ type: "dgxh100.80g", count: 5 }]);
    const [name = ""] = byName(await nodes());
    await cluster.kubectl("label", "node", name, "navarch.dev/nodeset-");
    const failed = configure([{ type: "dgxh100.80g", count: 5 }]);
    await expect(failed).rejects.toThrow(
      `node ${name} exists without the label navarch.dev/nodeset=virtual-nodes`,
    );
    await cluster.kubectl("label", "node", name, "navarch.dev/nodeset=virtual-nodes");
    await configure([]);
    expect(await nodes()).toEqual([]);
  }, 30_000);
});

const OTHER = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "other", labels: { type: "kwok" } },
};

const wrap = (api: KubeApi): KubeApi => ({
  call: (request) => api.call(request),
  watch: (...args) => api.watch(...args),
  close: () => api.close(),
});

const EVENTUALLY_MS = 20_000;

async function eventually(look: () => Promise<void>): Promise<void> {
  const endMs = performance.now() + EVENTUALLY_MS;
  for (;;) {
    try {
      await look();
      return;
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await Bun.sleep(200);
    }
  }
}

/** The requests that the test client sent meanwhile. */
async function audited(work: () => Promise<void>): Promise<{ verb: string; uri: string }[]> {
  const before = cluster.audit().length;
  await work();
  return cluster
    .audit()
    .slice(before)
    .filter(({ userAgent }) => userAgent === "navarch/test")
    .map(({ verb, requestURI }) => ({ verb, uri: requestURI }));
}
