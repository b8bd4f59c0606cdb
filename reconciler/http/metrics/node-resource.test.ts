/** The gauges `node_resource_*` over a cluster in memory: a process of its own, and the leader. */
import { afterEach, expect, test } from "bun:test";
import { type FakeKube, openFakeKube } from "../../../simulator/cluster/fake.ts";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { configOf, poolYaml } from "../../../test/world/world.ts";
import { nameLabels } from "../../core/kubernetes/node-resource.ts";
import { Kubernetes } from "../../kubernetes/kubernetes.ts";
import { Limiter } from "../../kubernetes/limiter.ts";
import { ResourceWatch, type ResourceWatchOptions } from "../../kubernetes/resource-watch.ts";
import { formatNodeResources } from "./node-resource.ts";

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

const GPU = "nvidia.com/gpu";

class Stage {
  readonly clock = new VirtualClock();
  readonly kube: FakeKube = openFakeKube({ clock: this.clock });

  node(name: string, gpus: string, labels: Record<string, string> = {}): void {
    this.kube.seed("nodes", {
      metadata: { name, labels },
      status: { allocatable: { cpu: "256", [GPU]: gpus } },
    });
  }

  pod(name: string, node: string, phase: string, ...containers: object[]): void {
    const spec = { nodeName: node, containers: containers.map((resources) => ({ resources })) };
    this.kube.seed("pods", { metadata: { namespace: "a", name }, spec, status: { phase } });
  }

  watch(more: Partial<ResourceWatchOptions> = {}): ResourceWatch {
    const watch = new ResourceWatch({
      ...{ api: this.kube, clock: this.clock, random: () => 0.5, namespace: null },
      ...{ resources: ["cpu", GPU], labels: [] },
      ...more,
    });
    ends.push(() => watch.stop());
    watch.start();
    return watch;
  }

  leader(nodeResources: string): Kubernetes {
    const yaml = `${poolYaml(1)}\nkubernetes: { enabled: true, node_resources: ${nodeResources} }\n`;
    const made = new Kubernetes({
      ...{ api: this.kube, clock: this.clock, random: () => 0.5, log: () => undefined },
      ...{ limiter: new Limiter({ clock: this.clock, perSecondMax: 200 }), join: null },
      ...{ server: "s", instance: "i", marked: () => undefined },
      config: configOf(yaml).kubernetes,
    });
    ends.push(() => made.cluster.stop());
    return made;
  }
}

const pageOf = (view: Parameters<typeof formatNodeResources>[0]): string =>
  [...formatNodeResources(view)].map((bytes) => Buffer.from(bytes).toString()).join("");
const seriesOf = (page: string): string[] =>
  page.split("\n").filter((line) => line !== "" && !line.startsWith("#"));

const ask = (cpu: string, gpus: string) => ({
  requests: { cpu, [GPU]: gpus },
  limits: { [GPU]: gpus },
});

/** One node with a pod of two containers, one idle, and pods that do not count. */
function fill(stage: Stage): void {
  stage.node("busy", "8", { "nvidia.com/gpu.count": "8" });
  stage.node("idle", "8", { "nvidia.com/gpu.count": 'a"b' });
  stage.node("plain", "0");
  stage.pod("p", "busy", "Running", ask("100m", "2"), ask("200m", "2"));
  for (const phase of ["Pending", "Succeeded", "Failed", "Unknown"]) {
    stage.pod(phase.toLowerCase(), "busy", phase, ask("64", "4"));
  }
  stage.pod("lost", "gone", "Running", ask("64", "4"));
}

test("W46: gauges of Running pods by node and resource, and 0 for idle nodes", async () => {
  const stage = new Stage();
  fill(stage);
  const watch = stage.watch();
  await stage.clock.pass(1_000);
  const page = pageOf(watch.view());
  expect(page).toContain("# TYPE node_resource_requests gauge\n");
  expect(seriesOf(page)).toEqual([
    "node_resource_stale 0",
    'node_resource_requests{node="busy",resource="cpu"} 0.3',
    `node_resource_requests{node="busy",resource="${GPU}"} 4`,
    'node_resource_requests{node="idle",resource="cpu"} 0',
    `node_resource_requests{node="idle",resource="${GPU}"} 0`,
    'node_resource_requests{node="plain",resource="cpu"} 0',
    `node_resource_requests{node="plain",resource="${GPU}"} 0`,
    'node_resource_limits{node="busy",resource="cpu"} 0',
    `node_resource_limits{node="busy",resource="${GPU}"} 4`,
    'node_resource_limits{node="idle",resource="cpu"} 0',
    `node_resource_limits{node="idle",resource="${GPU}"} 0`,
    'node_resource_limits{node="plain",resource="cpu"} 0',
    `node_resource_limits{node="plain",resource="${GPU}"} 0`,
    'node_resource_occupancy{node="busy",resource="cpu"} 0.1171875',
    `node_resource_occupancy{node="busy",resource="${GPU}"} 50`,
    'node_resource_occupancy{node="idle",resource="cpu"} 0',
    `node_resource_occupancy{node="idle",resource="${GPU}"} 0`,
    'node_resource_occupancy{node="plain",resource="cpu"} 0',
  ]);
});

test("W48: labels of Nodes follow node and resource; empty lists are valid", async () => {
  const stage = new Stage();
  fill(stage);
  const named = nameLabels(["nvidia.com/gpu.count"]);
  const watch = stage.watch({ resources: [GPU], labels: named.ok ? named.labels : [] });
  const none = stage.watch({ resources: [] });
  await stage.clock.pass(1_000);
  expect(seriesOf(pageOf(watch.view())).slice(1, 4)).toEqual([
    `node_resource_requests{node="busy",resource="${GPU}",nvidia_com_gpu_count="8"} 4`,
    `node_resource_requests{node="idle",resource="${GPU}",nvidia_com_gpu_count="a\\"b"} 0`,
    `node_resource_requests{node="plain",resource="${GPU}",nvidia_com_gpu_count=""} 0`,
  ]);
  expect(seriesOf(pageOf(none.view()))).toEqual(["node_resource_stale 0"]);
});

test("W46: a page of many nodes is made in slices, each metric with one head", () => {
  const nodes = Array.from({ length: 120 }, (_, i) => {
    return { name: `n${i}`, labels: {}, allocatable: ["8"], uses: () => [] };
  });
  const view = { resources: [GPU], labels: [], stale: null, nodes: () => nodes };
  expect([...formatNodeResources(view)].length).toBeGreaterThan(12);
  const page = pageOf(view);
  for (const name of ["requests", "limits", "occupancy"]) {
    const [before = "", after = ""] = page.split(`# TYPE node_resource_${name} gauge\n`);
    expect([name, before.includes(`node_resource_${name}{`)]).toEqual([name, false]);
    const own = after.split("# HELP")[0]?.trimEnd().split("\n") ?? [];
    expect([name, new Set(own).size, own.length]).toEqual([name, 120, 120]);
  }
});

test("W48: the series of a deleted node are gone within one refresh", async () => {
  const stage = new Stage();
  fill(stage);
  const watch = stage.watch();
  await stage.clock.pass(1_000);
  stage.kube.person.remove("nodes", "", "busy");
  await stage.clock.pass(1_000);
  const page = pageOf(watch.view());
  expect(page).not.toContain("busy");
  expect(page).toContain('node="idle"');
});

test("W48: only pods of the namespace that -n names count", async () => {
  const stage = new Stage();
  fill(stage);
  const watch = stage.watch({ namespace: "b" });
  await stage.clock.pass(1_000);
  expect(pageOf(watch.view())).toContain(`node_resource_requests{node="busy",resource="${GPU}"} 0`);
});

test("W47: without a list there is no series, and the page says that it is stale", async () => {
  const stage = new Stage();
  fill(stage);
  stage.kube.denied.add("list pods");
  const watch = stage.watch();
  await stage.clock.pass(1_000);
  expect(seriesOf(pageOf(watch.view()))).toEqual(["node_resource_stale 1"]);
  expect(watch.problem()).toStartWith("pods: forbidden");
  stage.kube.denied.delete("list pods");
  await stage.clock.pass(10_000);
  expect(watch.problem()).toBeNull();
  expect(seriesOf(pageOf(watch.view()))).toContain("node_resource_stale 0");
});

test("W47: the leader serves the same page from the copies that it holds anyway", async () => {
  const stage = new Stage();
  fill(stage);
  const leader = stage.leader(`{ enabled: true, resources: [cpu, ${GPU}] }`);
  expect(leader.cluster.resources()).toBeNull();
  leader.cluster.start(() => undefined);
  const watch = stage.watch();
  await stage.clock.pass(1_000);
  const view = leader.cluster.resources();
  if (view === null) throw new Error("no view");
  expect(pageOf(view)).toBe(pageOf(watch.view()));
  leader.cluster.stop();
  expect(leader.cluster.resources()).toBeNull();
});

test("W47: it is off by default, and then objects hold nothing for it", async () => {
  const stage = new Stage();
  fill(stage);
  const leader = stage.leader("{}");
  leader.cluster.start(() => undefined);
  await stage.clock.pass(1_000);
  expect(leader.cluster.resources()).toBeNull();
  expect(leader.cluster.objects().list[0]).not.toHaveProperty("allocatable");
});
