import { afterEach, describe, expect, test } from "bun:test";
import type { InstanceId, NodeId, PoolName, SessionId } from "../../schema/id.ts";
import type { Node } from "../../schema/node.ts";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { configOf, poolYaml } from "../../test/world/world.ts";
import { ClusterInformer } from "../runtime/cluster-informer.ts";
import { darkness } from "../core/decide/kube.ts";
import { newNode } from "../core/fold/new-node.ts";
import type { Fence } from "../core/provider.ts";
import type { ShownNode, DesiredState } from "../core/kubernetes/desired-state.ts";
import type { DesiredDrain } from "../core/kubernetes/desired-drain.ts";
import { type FakeKube, openFakeKube } from "../../simulator/cluster/fake.ts";
import { Kubernetes } from "./kubernetes.ts";
import { Limiter } from "./limiter.ts";
import { readObject } from "./read-field.ts";

const { kubernetes: config } = configOf(`${poolYaml(1)}\nkubernetes: { enabled: true }\n`);
const NODE = "n1" as NodeId;
const NAME = "gpu-1";
const FENCE: Fence = { nodeId: NODE, fence: 1, sessionId: "s1" as SessionId };

const opened: Kubernetes[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.cluster.stop();
});

/** One cluster with one Node, on a clock of its own. */
class Stage {
  readonly clock = new VirtualClock();
  readonly kube: FakeKube = openFakeKube({ clock: this.clock });

  constructor(status: object = {}) {
    this.kube.seed("nodes", { metadata: { name: NAME }, status });
  }

  /** A process that could lead; it does not yet. */
  process(settings = config): Kubernetes {
    const made = new Kubernetes({
      api: this.kube,
      limiter: new Limiter({ clock: this.clock, perSecondMax: 200 }),
      server: "server",
      instance: "instance",
      config: settings,
      clock: this.clock,
      random: () => 0.5,
      log: () => undefined,
      join: null,
      marked: () => undefined,
    });
    opened.push(made);
    return made;
  }

  async leading(): Promise<Kubernetes> {
    const made = this.process();
    made.cluster.start(() => undefined);
    await this.clock.pass(1_000);
    return made;
  }

  get uid(): string {
    const metadata = this.kube.get("nodes", "", NAME)?.["metadata"];
    if (typeof metadata !== "object" || metadata === null || !("uid" in metadata)) return "";
    return String(metadata.uid);
  }

  desired(drain: Partial<DesiredDrain> | null = null): DesiredState {
    const common = { node: NODE, pool: "p" as PoolName, name: NAME, uid: this.uid };
    const shown: ShownNode = {
      marking: false,
      ...common,
      verdict: "unhealthy",
      phase: "suspect",
      because: "XID 79",
      session: "s1",
      cordoned: true,
      draining: drain !== null,
      labels: {},
      taints: [],
      bought: false,
      formerNames: [],
      wait: null,
      busy: false,
      refused: false,
      onHold: false,
      cutsOff: false,
      calledOff: false,
    };
    const drains: DesiredDrain[] =
      drain === null
        ? []
        : [
            {
              ...common,
              why: "",
              since: this.clock.wallMs(),
              deadlineAt: 0,
              gracePeriodMs: -1,
              force: true,
              ignoreDaemonsets: true,
              deleteEmptydirData: true,
              mode: "evict",
              deleteAtDeadline: false,
              ordered: false,
              unreachable: false,
              paused: null,
              ...drain,
            },
          ];
    return { fleet: "f1", drains, shown: [shown], ended: [], orphaned: [], leaving: [] };
  }

  pod(name: string, node = NAME, graceS = 30): void {
    const spec = { nodeName: node, terminationGracePeriodSeconds: graceS };
    this.kube.seed("pods", { metadata: { name, namespace: "work" }, spec });
  }
}

test("the queue is unknown, not empty, until the pods were listed once", async () => {
  const stage = new Stage();
  const pool = "p" as PoolName;
  stage.kube.setFault({
    storms: [{ status: 500, probability: 1 }],
    concerns: ({ path }) => path === "/api/v1/pods",
  });
  const made = await stage.leading();
  expect(made.cluster.queue(pool, [])).toBeNull();
  stage.kube.setFault({ storms: [] });
  await stage.clock.pass(60_000);
  expect(made.cluster.queue(pool, [])).toMatchObject({ pendingJobs: 0, queueDepth: 0 });
});

describe("S48: kubernetes.slinky", () => {
  const KEY = "nodeset.slinky.slurm.net/node-cordon-reason";
  const reasonAfter = async (slinky: string, pods: readonly string[]): Promise<unknown> => {
    const stage = new Stage();
    const read = configOf(`${poolYaml(1)}\nkubernetes: { enabled: true, slinky: ${slinky} }\n`);
    for (const name of pods) {
      const owner = {
        apiVersion: "slinky.slurm.net/v1beta1",
        kind: "NodeSet",
        name: "g",
        uid: "g",
      };
      const metadata = {
        name,
        namespace: "slurm",
        ownerReferences: [{ ...owner, controller: true }],
      };
      const isDrained = name.startsWith("drained");
      const conditions = [{ type: "SlurmNodeStateDrain", status: isDrained ? "True" : "False" }];
      const spec = { nodeName: isDrained ? NAME : "another" };
      stage.kube.seed("pods", { metadata, spec, status: { phase: "Running", conditions } });
    }
    const one = stage.process(read.kubernetes);
    one.cluster.start(() => undefined);
    await stage.clock.pass(1_000);
    one.cluster.tend(stage.desired());
    for (const name of pods) {
      if (name.startsWith("gone")) stage.kube.person.remove("pods", "slurm", name);
    }
    await stage.clock.pass(60_000);
    const marking = one.cordon(NODE, "XID 79", FENCE);
    await stage.clock.pass(500);
    expect(await marking).toMatchObject({ kind: "ok" });
    const { metadata } = readObject(stage.kube.get("nodes", "", NAME));
    return readObject(readObject(metadata)["annotations"])[KEY];
  };

  test.each([
    ["auto", [], undefined],
    ["auto", ["a", "gone-b"], "navarch:s1 XID79 XID 79"],
    ["auto", ["gone"], undefined],
    ["auto", ["a", "drained"], undefined],
    ["true", [], "navarch:s1 XID79 XID 79"],
    ["false", ["a"], undefined],
  ])("%s with pods %p tells the operator %p", async (slinky, pods, reason) => {
    expect(await reasonAfter(slinky, pods)).toBe(reason);
  });
});

describe("Kubernetes.cluster.start() for another term", () => {
  test("knows nothing of before until it has listed again", async () => {
    const stage = new Stage();
    const one = await stage.leading();
    expect(one.cluster.dark()).toBeNull();
    one.cluster.stop();
    await stage.clock.pass(30_000);
    stage.kube.person.cordon(NAME);
    one.cluster.start(() => undefined);
    expect(one.cluster.dark()).not.toBeNull();
    expect(one.cluster.objects().known).toBe(false);
    expect(one.cluster.sight(new Map()).known).toBe(false);
    expect(one.left(NODE)).toMatchObject({ kind: "dark" });
    await stage.clock.pass(1_000);
    expect(one.cluster.dark()).toBeNull();
    expect(one.cluster.objects().list).toMatchObject([{ name: NAME, unschedulable: true }]);
  });

  test("tells the fold nothing of before: another leader's mark is no person's uncordon", async () => {
    const stage = new Stage();
    const first = await stage.leading();
    first.cluster.stop();
    const second = await stage.leading();
    second.cluster.tend(stage.desired());
    const marking = second.cordon(NODE, "XID 79", FENCE);
    await stage.clock.pass(500);
    expect(await marking).toMatchObject({ kind: "ok", on: stage.uid });
    second.cluster.stop();
    // It leads again, and activates at once.
    first.cluster.start(() => undefined);
    const informer = new ClusterInformer(first.cluster, () => undefined);
    expect(informer.news(config, "f1")).toBeNull();
    await stage.clock.pass(1_000);
    expect(informer.news(config, "f1")?.objects).toMatchObject([
      { name: NAME, unschedulable: true, own: true },
    ]);
  });
});

describe("Kubernetes.cluster.sight()", () => {
  test("of a cluster whose pods may not be listed is not known, and dark for each node", async () => {
    const stage = new Stage();
    stage.kube.denied.add("list pods");
    const one = await stage.leading();
    await stage.clock.pass(5_000);
    const kube = one.cluster.sight(new Map());
    expect(kube).toMatchObject({ known: false, forbidden: false });
    const id = "never-matched" as NodeId;
    const at = { id, pool: "p" as PoolName, slot: 0, gen: 1, at: 0, replaces: null };
    const instance = { id: "i-1" as InstanceId } as Node["instance"];
    const unmatched: Node = { ...newNode(at), instance, kube: null };
    const sight = { kube } as Parameters<typeof darkness>[1]["sight"];
    const scope = { sight, pool: null, bySlot: new Map() };
    expect(darkness(unmatched, scope)).toMatchObject({
      code: "cluster_dark",
      said: expect.stringContaining("pods"),
    });
  });
});

describe("Kubernetes.left()", () => {
  test("of a node that was idle before its drain is no proof that it is empty since", async () => {
    const stage = new Stage();
    const one = await stage.leading();
    one.cluster.tend(stage.desired());
    await stage.clock.pass(1_000);
    const since = stage.clock.wallMs();
    await stage.clock.pass(70);
    // Any pod of the cluster changes: the watch is as new as can be.
    stage.pod("other", "gpu-9");
    await stage.clock.pass(1);
    const idle = one.left(NODE);
    expect(idle?.kind).toBe("empty");
    expect(idle?.kind === "empty" && idle.seenAt >= since).toBe(false);
    one.cluster.tend(stage.desired({ since }));
    expect(one.left(NODE)?.kind).not.toBe("empty");
    // Two lists later it is.
    for (let i = 0; i < 20 && one.left(NODE)?.kind !== "empty"; i++) {
      await stage.clock.pass(1_000);
      one.cluster.tend(stage.desired({ since }));
    }
    const left = one.left(NODE);
    expect(left?.kind === "empty" && left.seenAt >= since).toBe(true);
  });
});

describe("Kubernetes.left() of a node that registered again under another name", () => {
  test("counts the pods of its former name until the cluster has ended them", async () => {
    const stage = new Stage();
    stage.pod("web");
    const one = await stage.leading();
    one.cluster.tend(stage.desired());
    expect(one.left(NODE)).toMatchObject({ kind: "busy", remaining: 1 });
    const [before] = stage.desired().shown;
    if (before === undefined) throw new Error("nothing was shown");
    stage.kube.person.remove("nodes", "", NAME);
    stage.kube.seed("nodes", { metadata: { name: "gpu-b" } });
    await stage.clock.pass(1_000);
    const renewed = stage.kube.get("nodes", "", "gpu-b") as { metadata: { uid: string } };
    const { uid } = renewed.metadata;
    const renamed = { ...before, name: "gpu-b", uid, formerNames: [NAME] };
    const desired = { ...stage.desired(), shown: [renamed] };
    one.cluster.tend(desired);
    expect(one.left(NODE)).toMatchObject({
      ...{ kind: "busy", remaining: 1 },
      message: `1 pod left under its former name ${NAME}`,
    });
    stage.pod("more", "gpu-b");
    await stage.clock.pass(1_000);
    expect(one.left(NODE)).toMatchObject({ kind: "busy", remaining: 2 });
    // The name is another machine's now, and so is what runs under it.
    stage.kube.seed("nodes", { metadata: { name: NAME } });
    await stage.clock.pass(1_000);
    expect(one.left(NODE)).toMatchObject({ kind: "busy", remaining: 1 });
  });
});

describe("Kubernetes.left() of a node whose object was taken away", () => {
  const orphaned = [{ node: NODE, name: NAME }];

  test("counts what runs under its name, also when nobody can tell yet whose that is", async () => {
    const stage = new Stage();
    stage.pod("web");
    const one = await stage.leading();
    const [before] = stage.desired().shown;
    one.cluster.tend(stage.desired());
    stage.kube.person.recreate(NAME);
    await stage.clock.pass(1_000);
    one.cluster.tend({ fleet: "f1", drains: [], shown: [], ended: [], orphaned, leaving: [] });
    expect(one.left(NODE)).toMatchObject({ kind: "busy", remaining: 1 });
    // Now it is known to be another machine's.
    if (before === undefined) throw new Error("nothing was shown");
    const other = { ...before, node: "n2" as NodeId, uid: stage.uid };
    one.cluster.tend({ fleet: "f1", drains: [], shown: [other], ended: [], orphaned, leaving: [] });
    expect(one.left(NODE)).toBeNull();
  });

  test("asks nobody, and its deadline does not wait", async () => {
    const stage = new Stage();
    stage.pod("web");
    const one = await stage.leading();
    const deadlineAt = stage.clock.wallMs() + 60_000;
    const drain = { deadlineAt, paused: "it is no longer in the cluster", gracePeriodMs: 30_000 };
    const { drains } = stage.desired(drain);
    stage.kube.person.recreate(NAME);
    for (let i = 0; i < 60; i++) {
      one.cluster.tend({ fleet: "f1", drains, shown: [], ended: [], orphaned, leaving: [] });
      await stage.clock.pass(1_000);
    }
    expect(one.left(NODE)).toMatchObject({ kind: "busy", remaining: 1, deadlineAt });
    expect(stage.kube.evictions.size).toBe(0);
  });
});

describe("Kubernetes.cluster.tend() of a machine that was given up and taken back", () => {
  test("keeps the object of a current node, even if a former node must end", async () => {
    const stage = new Stage();
    const one = await stage.leading();
    const desired = stage.desired();
    const { uid } = stage;
    const was = { node: "n0" as NodeId, pool: "p" as PoolName, name: NAME, uid };
    for (let i = 0; i < 90; i++) {
      one.cluster.tend({ ...desired, ended: [was] });
      await stage.clock.pass(1_000);
    }
    expect(stage.uid).toBe(uid);
    // Once it is nobody's, it goes.
    one.cluster.tend({ ...desired, shown: [], ended: [was] });
    await stage.clock.pass(1_000);
    expect(stage.uid).toBe("");
  });
});

describe("Kubernetes.cluster.tend() of a node whose agent is silent", () => {
  const ready = (status: string): object => ({ conditions: [{ type: "Ready", status }] });

  /** Grace periods that evictions were asked with. */
  async function graces(status: string): Promise<number[]> {
    const stage = new Stage(ready(status));
    stage.pod("web", NAME, 300);
    const call = stage.kube.call.bind(stage.kube);
    const asked: number[] = [];
    stage.kube.call = (request) => {
      const text = JSON.stringify(request.body ?? null);
      const grace = /"gracePeriodSeconds":(\d+)/.exec(text)?.[1];
      if (request.path.endsWith("/eviction")) asked.push(Number(grace));
      return call(request);
    };
    const one = await stage.leading();
    const since = stage.clock.wallMs();
    for (let i = 0; i < 10; i++) {
      one.cluster.tend(stage.desired({ since, unreachable: true, gracePeriodMs: 300_000 }));
      await stage.clock.pass(1_000);
    }
    return asked;
  }

  test("asks for the whole grace while its kubelet is ready, else for the least", async () => {
    expect(await graces("True")).toEqual([300]);
    expect(await graces("Unknown")).toEqual([1]);
  });
});
