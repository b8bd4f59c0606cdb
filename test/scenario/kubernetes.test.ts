/**
 * A fleet in a Kubernetes cluster, healed and resized: the order of a replacement, what several
 * drains owe to each other, and a queue of pods. Told on the whole control plane in virtual time.
 */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { poolYaml, type World } from "../world/world.ts";
import {
  chronicle,
  clusterOf,
  isMarked,
  joined,
  kubeWrongs,
  nameOf,
  objectOf,
  pass,
} from "../world/cluster.ts";
import { counts, closeWorlds, instanceOf, lives, open, order } from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(60_000);

const first = (w: World): string => w.serving()[0] ?? "";

describe("a replacement in a cluster", () => {
  test("goes mark, evict, gone, terminate, and the Node last", async () => {
    const w = await joined(3);
    const cluster = clusterOf(w);
    const web = cluster.run({ name: "web", replicas: 9, minAvailable: 8 });
    cluster.run({ name: "agent", replicas: 0, kind: "DaemonSet" });
    const id = first(w);
    const machine = instanceOf(w, id);
    const name = nameOf(w, id);
    const { uid } = objectOf(w, id);
    expect(web.on(name)).toHaveLength(3);
    w.xid(id, 79);
    await w.until(() => cluster.node(name) === null, 600);
    const steps = chronicle(w, machine, [web]).filter(({ what }) => !what.includes("labels"));
    const each = ["evict", "gone"];
    expect(steps.map(({ what }) => what)).toEqual([
      "patch navarch-cordon",
      ...[...each, ...each, ...each],
      "terminate.accepted",
      "terminated",
      "delete Node by api",
    ]);
    expect(steps[0]).toMatchObject({ uid });
    expect(steps.at(-1)).toMatchObject({ uid });
    await w.until(() => w.serving().length === 3, 300);
    await pass(w, 60);
    expect(cluster.nodes()).toHaveLength(3);
    expect(cluster.nodes().filter(({ unschedulable }) => unschedulable)).toEqual([]);
    expect(web.pods()).toHaveLength(9);
    expect(counts(w)).toEqual({ live: 3, ended: 1, asks: 4 });
    expect(kubeWrongs(w)).toEqual([]);
  });

  test("ends no machine on which a pod was bound just before the mark", async () => {
    const w = await joined(2);
    const cluster = clusterOf(w);
    const id = first(w);
    const machine = instanceOf(w, id);
    const name = nameOf(w, id);
    w.xid(id, 79);
    await w.until(() => isMarked(cluster.node(name)), 60);
    // The scheduler had decided before it saw the mark.
    await w.live(2);
    const web = cluster.run({ name: "late", replicas: 0, stopMs: 20_000 });
    web.startOn(name);
    await w.until(() => cluster.node(name) === null, 600);
    const what = chronicle(w, machine, [web]).map((step) => step.what);
    expect(what).toContain("evict");
    expect(what.indexOf("gone")).toBeLessThan(what.indexOf("terminate.accepted"));
    expect(kubeWrongs(w)).toEqual([]);
  });

  test("looks at the pods for itself, however new what the watch shows is", async () => {
    const w = await joined(2);
    const cluster = clusterOf(w);
    const id = first(w);
    const machine = instanceOf(w, id);
    const name = nameOf(w, id);
    const busy = cluster.run({ name: "busy", replicas: 1, fits: (node) => node.name !== name });
    const [pod] = busy.pods();
    // A large cluster: something changes at every moment, so its watch is never old.
    const turn = w.reconciler.activate.bind(w.reconciler);
    let beat = 0;
    w.reconciler.activate = async () => {
      cluster.kube.person.annotate("pods", "work", pod?.name ?? "", { beat: String(++beat) });
      await turn();
    };
    w.xid(id, 79);
    await w.until(() => cluster.node(name) === null, 600);
    const steps = chronicle(w, machine, []);
    const at = (what: string): number => steps.find((step) => step.what === what)?.at ?? 0;
    // As long as a pod that was bound just before the mark may take to show up.
    const restMs = at("terminate.accepted") - at("patch navarch-cordon");
    expect(restMs).toBeGreaterThanOrEqual(5_000);
  });

  test("of two nodes at once takes one pod of a StatefulSet at a time", async () => {
    const pool = "    health: { unhealthy_threshold: 1, max_unavailable: 100% }\n";
    const w = await joined(4, { pool });
    const cluster = clusterOf(w);
    const [a = "", b = ""] = w.serving();
    const [one, two] = [nameOf(w, a), nameOf(w, b)];
    const fits = ({ name }: { name: string }): boolean => name === one || name === two;
    const db = cluster.run({
      name: "db",
      replicas: 6,
      kind: "StatefulSet",
      stopMs: 6_000,
      perNode: 3,
      fits: (node) => !cluster.calls.some(({ cordons }) => cordons) || !fits(node),
    });
    expect(db.on(one).length + db.on(two).length).toBeGreaterThanOrEqual(2);
    w.xid(a, 79);
    w.xid(b, 79);
    await w.until(() => cluster.node(one) === null && cluster.node(two) === null, 900);
    const out = new Set<string>();
    let most = 0;
    for (const { verb, resource, uid, by } of cluster.kube.journal) {
      if (!db.born.has(uid)) continue;
      if (verb === "evict") out.add(uid);
      else if (resource === "pods" && verb === "delete" && by === "cluster") out.delete(uid);
      most = Math.max(most, out.size);
    }
    expect(most).toBe(1);
    expect(kubeWrongs(w)).toEqual([]);
  });
});

describe("a queue of pods", () => {
  const yaml = `${poolYaml(1, "    autoscaler: { type: queue, jobs_per_node: 2, scale_down_after: 0s }\n    cooldown: 1s\n")}
kubernetes: { enabled: true }
`;

  test("buys nodes for pods that wait, and gives back only what nothing runs on", async () => {
    const w = await open(yaml, { kubernetes: {} });
    const cluster = clusterOf(w);
    await w.until(() => w.serving().length === 1, 120);
    const labels = { "navarch.dev/pool": "p" };
    const jobs = cluster.run({ name: "job", replicas: 6, perNode: 2, pends: true, labels });
    await w.until(() => w.serving().length === 3 && jobs.bound().length === 6, 600);
    const [busy] = jobs.bound();
    const name = busy?.node ?? "";
    const machine = cluster.instanceOf(name);
    jobs.scale(1);
    for (const pod of jobs.pods()) {
      if (pod.uid !== busy?.uid) cluster.kube.person.remove("pods", pod.namespace, pod.name);
    }
    await w.until(() => w.serving().length === 1, 900);
    await pass(w, 120);
    expect(machine !== null && lives(w, machine)).toBe(true);
    expect(jobs.on(name).map(({ uid }) => uid)).toEqual([busy?.uid ?? ""]);
    expect(cluster.kube.evictions.size).toBe(0);
    expect(kubeWrongs(w)).toEqual([]);
  });
});

describe("a person's order", () => {
  test("to drain empties the node, keeps its machine and its Node, and an uncordon takes it back", async () => {
    const w = await joined(3);
    const cluster = clusterOf(w);
    const id = first(w);
    const name = nameOf(w, id);
    const web = cluster.run({ name: "web", replicas: 6 });
    await order(w, id, "drain");
    await w.until(() => web.on(name).length === 0, 120);
    await pass(w, 300);
    expect(lives(w, instanceOf(w, id))).toBe(true);
    expect(isMarked(objectOf(w, id))).toBe(true);
    await order(w, id, "uncordon");
    await w.live(10);
    expect(objectOf(w, id)).toMatchObject({ unschedulable: false, own: false });
    expect(kubeWrongs(w)).toEqual([]);
  });
});
