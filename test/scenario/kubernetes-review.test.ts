/**
 * Stories in which a fleet in a Kubernetes cluster once did harm: to pods that nobody had asked to
 * leave, to a person's word, to a budget. Each was told by somebody who set out to break it, and is
 * told here as it must end.
 */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { KubeRequest } from "../../reconciler/kubernetes/api.ts";
import { type KubeFault, NO_FAULT } from "../../simulator/cluster/fault.ts";
import type { InstanceId } from "../../schema/id.ts";
import type { Workload } from "../world/workload.ts";
import { poolYaml, type World } from "../world/world.ts";
import {
  chronicle,
  clusterOf,
  darken,
  freeze,
  isMarked,
  joined,
  kubeWrongs,
  marks,
  nameOf,
  neverLeaving,
  objectOf,
  pass,
} from "../world/cluster.ts";
import {
  closeWorlds,
  instanceOf,
  lives,
  loseDatabase,
  open,
  order,
  phaseOf,
  resize,
  restart,
  told,
  waitOf,
  watchEnds,
} from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(60_000);

const first = (w: World): { id: string; name: string; machine: InstanceId } => {
  const [id = ""] = w.serving();
  return { id, name: nameOf(w, id), machine: instanceOf(w, id) };
};

/** Pool `p` with this drain deadline, for faults too. */
const pool = (timeout: string): string =>
  "    health: { unhealthy_threshold: 1 }\n" +
  `    drain: { timeout: ${timeout}, fatal_timeout: ${timeout} }\n`;

/** One pod on each of three Nodes, which leaves as soon as it is asked to. */
function yielding(w: World): Workload {
  return clusterOf(w).run({ name: "web", replicas: 3, perNode: 1, stopMs: 1_000 });
}

/** Every pod of the machine had left before the cloud was asked to terminate it. */
function expectLeft(w: World, machine: InstanceId, load: Workload): void {
  const what = chronicle(w, machine, [load]).map((step) => step.what);
  expect(what).toContain("evict");
  expect(what).toContain("gone");
  expect(what.lastIndexOf("gone")).toBeLessThan(what.indexOf("terminate.accepted"));
  expect(what).not.toContain("delete pod by api");
  expect(kubeWrongs(w)).toEqual([]);
}

const isMark = ({ lane }: KubeRequest): boolean => lane === "cordon";
const isEviction = ({ path }: KubeRequest): boolean => path.endsWith("/eviction");
const BROKEN_WEBHOOK: Partial<KubeFault> = {
  storms: [{ status: 500, probability: 1 }],
  concerns: isMark,
};

describe("a control plane that restarts in a drain", () => {
  test.each(["at once", "while the API server is away"])(
    "ends no machine on which pods run (%s)",
    async (when) => {
      const w = await joined(3);
      const { id, name } = first(w);
      const web = neverLeaving(w, 6);
      const ends = watchEnds(w);
      w.xid(id, 79);
      await w.until(() => clusterOf(w).kube.evictions.size > 0, 60);
      if (when !== "at once") darken(w);
      await restart(w);
      // An agent that is quicker than the cluster says that nothing runs on its GPUs.
      await w.report();
      await w.live(20);
      expect(ends).toEqual([]);
      expect(phaseOf(w, id)).toBe("draining");
      expect(web.on(name)).toHaveLength(2);
    },
  );
});

describe("a database that is lost", () => {
  test("leaves a sick machine with pods on it, which is marked and drained", async () => {
    const w = await joined(3, { pool: pool("4h") });
    const { name, id } = first(w);
    const web = neverLeaving(w, 6);
    const ends = watchEnds(w);
    const { kube } = clusterOf(w);
    await loseDatabase(w);
    w.xid(id, 79);
    await w.live(300);
    expect(ends).toEqual([]);
    expect(isMarked(clusterOf(w).node(name))).toBe(true);
    const asked = web.on(name).filter(({ uid }) => kube.evictions.has(uid));
    expect(asked.length).toBeGreaterThan(0);
    expect(web.on(name)).toHaveLength(2);
    expect(kubeWrongs(w)).toEqual([]);
  });

  test("a cluster that shows its Nodes and not its pods is no empty one", async () => {
    // Found by itself, not configured: what is not allowed there might pass for not attached.
    const w = await open(poolYaml(3, pool("2m")), { kubernetes: {} });
    await w.until(() => w.nodes().filter(({ kube }) => kube !== null).length === 3, 180);
    await w.until(() => w.serving().length === 3, 60);
    const { id, name } = first(w);
    const web = neverLeaving(w, 6);
    const ends = watchEnds(w);
    for (const one of ["list pods", "watch pods"]) clusterOf(w).kube.denied.add(one);
    await loseDatabase(w);
    await w.until(() => w.serving().length === 3, 180);
    w.xid(id, 79);
    await w.live(300);
    expect(ends).toEqual([]);
    expect(waitOf(w, id)).toBe("blind");
    expect(web.on(name)).toHaveLength(2);
  });

  test("leaves a mark that no record explains, which goes once the node is well", async () => {
    const w = await joined(3);
    const { id } = first(w);
    neverLeaving(w, 6);
    w.xid(id, 79);
    await w.until(() => isMarked(objectOf(w, id)), 60);
    Object.assign(w.agent(id), { active: [], spool: [] });
    await loseDatabase(w);
    await pass(w, 900);
    expect(phaseOf(w, id)).toBe("serving");
    expect(objectOf(w, id)).toMatchObject({ unschedulable: false, own: false, annotations: {} });
  });
});

describe("a machine whose agent is silent", () => {
  /** As on bare metal: the Nodes say no cloud's id, only addresses. */
  async function byAddress(w: World): Promise<void> {
    const { person } = clusterOf(w).kube;
    for (const node of w.nodes()) {
      const name = node.kube?.name ?? "";
      const addresses = [{ type: "InternalIP", address: node.instance?.internalIp ?? "" }];
      person.edit("nodes", "", name, { spec: { providerID: null } });
      person.edit("nodes", "", name, { status: { addresses } }, { sub: "status" });
    }
    await w.until(() => w.nodes().every(({ kube }) => kube?.by === "ip"), 60);
  }

  test("after its XID, and is known by its address alone, is still drained", async () => {
    const w = await joined(3, { pool: pool("4h") });
    await byAddress(w);
    const { id, name } = first(w);
    const web = neverLeaving(w, 6);
    const ends = watchEnds(w);
    w.xid(id, 79);
    await w.until(() => phaseOf(w, id) === "draining", 60);
    w.agent(id).quiet = true;
    await w.live(300);
    expect(ends).toEqual([]);
    expect(w.node(id).kube).toMatchObject({ name, by: "ip", absentSince: null });
    expect(isMarked(objectOf(w, id))).toBe(true);
    expect(web.on(name)).toHaveLength(2);
  });

  test("before a person orders it out, and is known by its address alone, is drained", async () => {
    const w = await joined(3, { pool: pool("4h") });
    await byAddress(w);
    const { id, name } = first(w);
    const web = neverLeaving(w, 6);
    const ends = watchEnds(w);
    w.agent(id).quiet = true;
    await w.live(60);
    await order(w, id, "replace");
    await w.live(300);
    expect(ends).toEqual([]);
    expect(isMarked(objectOf(w, id))).toBe(true);
    const asked = web.on(name).filter(({ uid }) => clusterOf(w).kube.evictions.has(uid));
    expect(asked.length).toBeGreaterThan(0);
  });

  test("and whose kubelet is well: its pods have the whole grace, and it waits for them", async () => {
    const w = await joined(3);
    const slow = { graceSeconds: 300, stopMs: 200_000 };
    const web = clusterOf(w).run({ name: "web", replicas: 3, perNode: 1, ...slow });
    await w.live(5);
    const { id, machine } = first(w);
    w.agent(id).quiet = true;
    await w.live(60);
    await order(w, id, "replace");
    await w.until(() => !lives(w, machine), 600);
    const asked = clusterOf(w).calls.filter(({ what }) => what === "create eviction");
    expect(asked.map(({ graceSeconds }) => graceSeconds)).toEqual(asked.map(() => 300));
    expectLeft(w, machine, web);
  });
});

describe("time in which nobody could be asked to leave", () => {
  /** A machine with a pod falls sick, and no eviction of the drain gets through. */
  async function unasked(): Promise<{ w: World; web: Workload; id: string; machine: InstanceId }> {
    const w = await joined(3, { pool: pool("2m") });
    const web = yielding(w);
    await w.live(5);
    const { id, machine } = first(w);
    clusterOf(w).kube.setFault({ ...BROKEN_WEBHOOK, concerns: isEviction });
    w.xid(id, 79);
    await w.until(() => phaseOf(w, id) === "draining", 60);
    return { w, web, id, machine };
  }

  test("because the server was away for longer than the deadline is given back", async () => {
    const { w, web, machine } = await unasked();
    clusterOf(w).kube.setFault(NO_FAULT);
    const light = darken(w);
    await pass(w, 600);
    expect(lives(w, machine)).toBe(true);
    light();
    await w.until(() => !lives(w, machine), 300);
    expectLeft(w, machine, web);
  });

  test("because everything was frozen until after the deadline is given back", async () => {
    const { w, web, machine } = await unasked();
    const thaw = await freeze(w);
    clusterOf(w).kube.setFault(NO_FAULT);
    await pass(w, 300);
    expect(lives(w, machine)).toBe(true);
    await thaw();
    await w.until(() => !lives(w, machine), 300);
    expectLeft(w, machine, web);
  });

  test("because of a hold ends with a person's order", async () => {
    const w = await joined(3, { pool: pool("2m") });
    const web = yielding(w);
    await w.live(5);
    const { id, name, machine } = first(w);
    clusterOf(w).kube.person.annotate("nodes", "", name, { "navarch.dev/hold": "true" });
    w.xid(id, 79);
    await pass(w, 300);
    expect(lives(w, machine)).toBe(true);
    expect(clusterOf(w).kube.evictions.size).toBe(0);
    await order(w, id, "replace");
    await w.until(() => !lives(w, machine), 300);
    expectLeft(w, machine, web);
  });

  test("is none where no mark is written: evictions come before the end all the same", async () => {
    const kube = "  mirror: { cordon: false }\n";
    const w = await joined(3, { pool: pool("2m"), kube });
    const web = yielding(w);
    await w.live(5);
    const { id, name, machine } = first(w);
    w.xid(id, 79);
    await w.until(() => !lives(w, machine), 300);
    // New pods may be placed there until the end: nobody said that they may not.
    const what = chronicle(w, machine, [web]).map((step) => step.what);
    expect(what).toContain("evict");
    expect(what.indexOf("evict")).toBeLessThan(what.indexOf("terminate.accepted"));
    expect(marks(w, name)).toBe(0);
    expect(kubeWrongs(w)).toEqual([]);
  });
});

describe("a mark that the server refuses", () => {
  /** Each way to refuse it, and how that ends. */
  const WAYS: [string, (w: World) => () => void][] = [
    [
      "no permission",
      (w) => {
        const { denied } = clusterOf(w).kube;
        denied.add("patch nodes");
        return () => void denied.delete("patch nodes");
      },
    ],
    [
      "a broken webhook",
      (w) => {
        const { kube } = clusterOf(w);
        kube.setFault(BROKEN_WEBHOOK);
        return () => kube.setFault(NO_FAULT);
      },
    ],
  ];

  test.each(WAYS)(
    "(%s) does not keep a forced order from ending the machine",
    async (_n, refuse) => {
      const w = await joined(2);
      const { id, machine } = first(w);
      refuse(w);
      await order(w, id, "terminate", { force: true });
      await w.until(() => !lives(w, machine), 120);
      await w.until(() => w.serving().length === 2, 180);
      expect(w.serving()).not.toContain(id);
    },
  );

  test.each(WAYS)("(%s) is told once and tried seldom, until it is taken", async (_n, refuse) => {
    const w = await joined(2);
    const { id, name } = first(w);
    const relent = refuse(w);
    const operations = new Set<string>();
    w.onCommit = (change) => {
      for (const { id: operation } of change.operations) operations.add(operation);
    };
    await order(w, id, "cordon");
    // Whatever wakes the loop, each time again.
    for (let i = 0; i < 200; i++) {
      await w.reconciler.activate();
      await w.clock.pass(10);
    }
    expect(operations.size).toBeLessThan(5);
    await w.live(600);
    expect(operations.size).toBeLessThan(20);
    expect(told(w, "kube.refused").length).toBeLessThan(6);
    expect(w.node(id).cordon.human).not.toBeNull();
    relent();
    await w.until(() => isMarked(objectOf(w, id)), 360);
    await order(w, id, "uncordon");
    await w.until(() => !objectOf(w, id).unschedulable, 30);
    expect(clusterOf(w).node(name)?.annotations).toEqual({});
  });

  test.each(WAYS)("(%s) keeps no evidence from being heard", async (_n, refuse) => {
    const w = await joined(2);
    const { id } = first(w);
    refuse(w);
    await order(w, id, "cordon");
    await w.live(60);
    w.xid(id, 79);
    await w.until(() => phaseOf(w, id) === "suspect", 30);
    expect(w.node(id).health.verdict).toBe("unhealthy");
  });
});

describe("a person's word", () => {
  test("against giving up a node of a smaller pool holds until another size is wanted", async () => {
    const w = await joined(1);
    const { id, name } = first(w);
    neverLeaving(w, 1);
    await resize(w, 0);
    await w.until(() => isMarked(objectOf(w, id)), 60);
    clusterOf(w).kube.person.uncordon(name);
    await w.live(120);
    expect(objectOf(w, id).unschedulable).toBe(false);
    expect(phaseOf(w, id)).toBe("serving");
    expect(marks(w, name)).toBe(1);
    await w.reconciler.change((draft) => {
      for (const state of w.reconciler.fleet().pools.values())
        draft.putPool({ ...state, desired: 0, desiredAt: w.clock.wallMs() });
    });
    await w.until(() => isMarked(objectOf(w, id)), 60);
    expect(marks(w, name)).toBe(2);
  });

  test("to cordon, given while our own uncordon is out, is never overrun by it", async () => {
    const w = await joined(2);
    const { id } = first(w);
    const { kube } = clusterOf(w);
    await order(w, id, "cordon");
    await w.until(() => isMarked(objectOf(w, id)), 30);
    kube.setFault({ hang: true, concerns: isMark });
    await order(w, id, "uncordon");
    await w.live(5);
    await order(w, id, "cordon", { reason: "I am inside this machine" });
    expect(w.node(id).cordon.human?.why).toBe("I am inside this machine");
    kube.setFault(NO_FAULT);
    for (let i = 0; i < 90; i++) {
      await w.live(1);
      expect(objectOf(w, id).unschedulable).toBe(true);
    }
    expect(isMarked(objectOf(w, id))).toBe(true);
    expect(w.node(id).operation).toBeNull();
  });

  test("on a sick node does not still its pool when its Node is recreated", async () => {
    const w = await joined(4);
    neverLeaving(w, 8);
    const [ours = "", theirs = ""] = w.serving();
    await order(w, theirs, "cordon");
    await w.until(() => isMarked(objectOf(w, theirs)), 30);
    // Evidence that spends the budget, in a pool whose budget is one node.
    w.xid(theirs, 48);
    await w.live(20);
    w.xid(ours, 79);
    await w.until(() => phaseOf(w, ours) === "draining", 60);
    clusterOf(w).kube.person.recreate(nameOf(w, theirs));
    await w.until(() => isMarked(objectOf(w, theirs)), 60);
    expect(w.reconciler.failure()).toBeNull();
  });
});

test("a pool that follows its queue is back at its least when its pods have finished", async () => {
  const queue =
    "    autoscaler: { type: queue, jobs_per_node: 1, scale_down_after: 0s }\n    cooldown: 1s\n";
  const w = await open(`${poolYaml(1, queue)}\nkubernetes: { enabled: true }\n`, {
    kubernetes: {},
  });
  await w.until(() => w.serving().length === 1, 120);
  const { kube } = clusterOf(w);
  const jobs = ["a", "b", "c"];
  for (const name of jobs) {
    const metadata = { name, namespace: "work", labels: { "navarch.dev/pool": "p" } };
    kube.seed("pods", { metadata, spec: {}, status: { phase: "Pending" } });
  }
  await w.until(() => w.serving().length === 3, 300);
  for (const name of jobs) kube.person.remove("pods", "work", name);
  await w.until(() => w.serving().length === 1, 900);
  expect(kubeWrongs(w)).toEqual([]);
});
