/**
 * People at the nodes of a fleet that lives in a Kubernetes cluster: what they say there with
 * kubectl, what they say with navarch, and that neither word is ever taken for the product's own.
 */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { World } from "../world/world.ts";
import {
  clusterOf,
  freeze,
  holdPool,
  isMarked,
  joined,
  kubeWrongs,
  marks,
  nameOf,
  neverLeaving,
  objectOf,
  pass,
  writes,
} from "../world/cluster.ts";
import {
  breakStore,
  counts,
  closeWorlds,
  instanceOf,
  lives,
  order,
  phaseOf,
  told,
} from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(60_000);

const first = (world: World): { id: string; name: string } => {
  const [id = ""] = world.serving();
  return { id, name: nameOf(world, id) };
};

/** Reversible evidence: its agent says nothing, and its machine runs. */
async function silence(world: World, id: string): Promise<void> {
  world.agent(id).quiet = true;
  await world.until(() => isMarked(objectOf(world, id)), 120);
}

async function recover(world: World, id: string): Promise<void> {
  world.agent(id).quiet = false;
  await world.until(() => phaseOf(world, id) === "serving", 120);
  await world.live(10);
}

describe("kubectl uncordon", () => {
  test("in a repair calls it off; new evidence opens a new one", async () => {
    const w = await joined(3);
    const cluster = clusterOf(w);
    const { id, name } = first(w);
    const web = neverLeaving(w, 6);
    w.xid(id, 79);
    await w.until(() => phaseOf(w, id) === "draining", 60);
    await w.live(30);
    expect(isMarked(objectOf(w, id))).toBe(true);
    cluster.kube.person.uncordon(name);
    const before = writes(w).length;
    await pass(w, 900);
    expect(phaseOf(w, id)).toBe("serving");
    expect(w.node(id).lastSession?.how).toBe("cancelled");
    expect(objectOf(w, id).unschedulable).toBe(false);
    // One, which takes our annotations away: they told of a repair that is no more.
    expect(writes(w).length - before).toBe(1);
    expect(objectOf(w, id).annotations).toEqual({});
    expect(web.on(name).every(({ deletionAt }) => deletionAt === null)).toBe(true);
    expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
    w.xid(id, 79, 1);
    await w.until(() => phaseOf(w, id) === "draining", 60);
    expect(marks(w, name)).toBe(2);
    expect(kubeWrongs(w)).toEqual([]);
  });

  test("is heard although the store could not take it down at first", async () => {
    const w = await joined(3);
    const { id, name } = first(w);
    await order(w, id, "cordon");
    await w.until(() => isMarked(objectOf(w, id)), 30);
    // Nothing else moves, which would make everything be looked at once more.
    await w.live(60);
    const store = breakStore(w);
    clusterOf(w).kube.person.uncordon(name);
    await expect(w.live(1)).rejects.toThrow("SQLITE_FULL");
    store.down = false;
    await w.live(60);
    expect(w.node(id).cordon).toEqual({ product: null, human: null });
    expect(objectOf(w, id).unschedulable).toBe(false);
  });

  test("waives the evidence until it was gone once", async () => {
    const w = await joined(3);
    const { id, name } = first(w);
    neverLeaving(w, 6);
    w.xid(id, 79);
    await w.until(() => phaseOf(w, id) === "draining", 60);
    clusterOf(w).kube.person.uncordon(name);
    await w.until(() => phaseOf(w, id) === "serving", 30);
    w.xid(id, 79);
    await w.live(60);
    expect(phaseOf(w, id)).toBe("serving");
    // Somebody reset the machine: what was held ends with the boot.
    w.agent(id).boot++;
    w.agent(id).registered = false;
    await w.live(30);
    expect(w.node(id).health.held).toEqual([]);
    expect(w.node(id).waiver).toBeNull();
    w.xid(id, 79);
    await w.until(() => phaseOf(w, id) === "draining", 60);
    expect(marks(w, name)).toBe(2);
  });

  test("under on_uncordon: enforce is answered once, and then the person wins", async () => {
    const w = await joined(3, { kube: "  on_uncordon: enforce\n" });
    const { person } = clusterOf(w).kube;
    const { id, name } = first(w);
    neverLeaving(w, 6);
    w.xid(id, 79);
    await w.until(() => phaseOf(w, id) === "draining", 60);
    person.uncordon(name);
    await w.live(5);
    expect(isMarked(objectOf(w, id))).toBe(true);
    expect(phaseOf(w, id)).toBe("draining");
    expect(marks(w, name)).toBe(2);
    person.uncordon(name);
    await pass(w, 600);
    expect(objectOf(w, id).unschedulable).toBe(false);
    expect(marks(w, name)).toBe(2);
    expect(phaseOf(w, id)).toBe("serving");
    expect(counts(w).ended).toBe(0);
  });

  test("ends a cordon that was given with navarch", async () => {
    const w = await joined(2);
    const { id, name } = first(w);
    await order(w, id, "cordon");
    await w.live(5);
    expect(isMarked(objectOf(w, id))).toBe(true);
    clusterOf(w).kube.person.uncordon(name);
    await w.live(120);
    expect(w.node(id).cordon).toEqual({ product: null, human: null });
    expect(objectOf(w, id).unschedulable).toBe(false);
    expect(marks(w, name)).toBe(1);
  });
});

describe("kubectl cordon", () => {
  test("before ours stays after the recovery", async () => {
    const w = await joined(3);
    const { id, name } = first(w);
    clusterOf(w).kube.person.cordon(name);
    await w.live(10);
    w.agent(id).quiet = true;
    await w.until(() => isMarked(objectOf(w, id)), 120);
    expect(objectOf(w, id).others).toEqual(["kubectl"]);
    await recover(w, id);
    expect(objectOf(w, id)).toMatchObject({ unschedulable: true, own: false });
    await pass(w, 300);
    expect(objectOf(w, id)).toMatchObject({ unschedulable: true, own: false });
    expect(objectOf(w, id).annotations).toEqual({});
  });

  test("alone is never touched, however long it lasts", async () => {
    const w = await joined(3);
    const { id, name } = first(w);
    clusterOf(w).kube.person.cordon(name);
    const before = writes(w).length;
    await pass(w, 1_800);
    expect(writes(w).length).toBe(before);
    expect(objectOf(w, id)).toMatchObject({ unschedulable: true, own: false });
    expect(phaseOf(w, id)).toBe("serving");
    expect(told(w, "kube.cordoned").map(({ actor }) => actor)).toEqual(["human"]);
  });

  test("of another after ours changes nothing, and navarch cordon keeps it", async () => {
    const w = await joined(3);
    const { id, name } = first(w);
    await silence(w, id);
    // kubectl sends nothing where the node is cordoned already: the known blind spot.
    clusterOf(w).kube.person.cordon(name);
    await order(w, id, "cordon");
    await recover(w, id);
    await pass(w, 300);
    expect(isMarked(objectOf(w, id))).toBe(true);
    expect(marks(w, name)).toBe(1);
    expect(w.node(id).cordon.human).not.toBeNull();
    await order(w, id, "uncordon");
    await w.live(10);
    expect(objectOf(w, id).unschedulable).toBe(false);
  });
});

describe("navarch cordon and uncordon", () => {
  test("are shown in the cluster, and keep a person's kubectl cordon", async () => {
    const w = await joined(2);
    const { id, name } = first(w);
    await order(w, id, "cordon");
    await w.live(5);
    expect(isMarked(objectOf(w, id))).toBe(true);
    await order(w, id, "uncordon");
    await w.live(5);
    expect(objectOf(w, id)).toMatchObject({ unschedulable: false, own: false });
    clusterOf(w).kube.person.cordon(name);
    await w.live(5);
    await order(w, id, "cordon");
    await w.live(5);
    expect(objectOf(w, id)).toMatchObject({ unschedulable: true, own: true });
    await order(w, id, "uncordon");
    await w.live(60);
    expect(objectOf(w, id)).toMatchObject({ unschedulable: true, own: false, others: ["kubectl"] });
    expect(marks(w, name)).toBe(2);
  });

  test("a machine that joins while its node is cordoned is marked before anything runs there", async () => {
    const late: { id: string | null } = { id: null };
    const joins = (id: string): boolean => (late.id ??= id) !== id;
    const w = await joined(2, {}, { cluster: { joins } });
    const away = w.nodes().find(({ kube }) => kube === null);
    if (away === undefined) throw new Error("every machine has joined");
    await order(w, away.id, "cordon");
    await w.live(30);
    late.id = "nobody";
    const cluster = clusterOf(w);
    await w.until(() => cluster.node(nameOf(w, away.id)) !== null, 30);
    await w.turn();
    await w.live(1);
    expect(isMarked(objectOf(w, away.id))).toBe(true);
    const web = cluster.run({ name: "web", replicas: 4, perNode: 4 });
    await w.live(60);
    expect(web.on(nameOf(w, away.id))).toEqual([]);
  });
});

describe("the hold annotation", () => {
  const HOLD = { "navarch.dev/hold": "true" };

  test("keeps every hand off a sick node, until it is taken away", async () => {
    const w = await joined(3);
    const { id, name } = first(w);
    const { person } = clusterOf(w).kube;
    person.annotate("nodes", "", name, HOLD);
    await w.live(5);
    const before = writes(w).length;
    w.xid(id, 79);
    await pass(w, 1_800);
    expect(writes(w).length).toBe(before);
    expect(objectOf(w, id).unschedulable).toBe(false);
    expect(counts(w).ended).toBe(0);
    person.annotate("nodes", "", name, { "navarch.dev/hold": null });
    await w.until(() => clusterOf(w).node(name) === null, 600);
    expect(kubeWrongs(w)).toEqual([]);
  });

  test("in the middle of a drain stops it before the next eviction", async () => {
    const w = await joined(3);
    const { id, name } = first(w);
    const web = clusterOf(w).run({ name: "web", replicas: 9, minAvailable: 8 });
    w.xid(id, 79);
    await w.until(() => web.on(name).length === 2, 60);
    clusterOf(w).kube.person.annotate("nodes", "", name, HOLD);
    await pass(w, 1_800);
    expect(web.on(name)).toHaveLength(2);
    expect(lives(w, instanceOf(w, id))).toBe(true);
    expect(isMarked(objectOf(w, id))).toBe(true);
    clusterOf(w).kube.person.annotate("nodes", "", name, { "navarch.dev/hold": null });
    await w.until(() => clusterOf(w).node(name) === null, 900);
    expect(kubeWrongs(w)).toEqual([]);
  });
});

describe("a pause of the whole fleet or a pool", () => {
  test.each([
    ["the freeze", freeze],
    ["a pool's hold", holdPool],
  ])("%s stops evictions in the middle, and they go on after it", async (_name, pause) => {
    const w = await joined(3);
    const { id, name } = first(w);
    const web = clusterOf(w).run({ name: "web", replicas: 9, minAvailable: 8 });
    w.xid(id, 79);
    await w.until(() => web.on(name).length === 2, 60);
    const end = await pause(w);
    await pass(w, 900);
    expect(web.on(name)).toHaveLength(2);
    expect(counts(w).ended).toBe(0);
    await end();
    await w.until(() => clusterOf(w).node(name) === null, 900);
    expect(kubeWrongs(w)).toEqual([]);
  });
});

describe("kubectl delete node", () => {
  test("in the middle of a drain: no Node comes back, the machine ends once by its cloud id", async () => {
    const w = await joined(3);
    const { id, name } = first(w);
    const machine = instanceOf(w, id);
    const cluster = clusterOf(w);
    neverLeaving(w, 6);
    w.agent(id).processes = 3;
    w.xid(id, 79);
    await w.until(() => phaseOf(w, id) === "draining", 60);
    cluster.kube.person.remove("nodes", "", name);
    await w.live(120);
    // What runs there is known from its agent alone.
    expect(lives(w, machine)).toBe(true);
    w.agent(id).processes = 0;
    await w.until(() => !lives(w, machine), 300);
    await w.until(() => w.serving().length === 3, 300);
    expect(cluster.node(name)).toBeNull();
    expect(counts(w)).toEqual({ live: 3, ended: 1, asks: 4 });
    expect(kubeWrongs(w)).toEqual([]);
  });

  test("and a registration under a new UID in a drain: marked again before anything else", async () => {
    const w = await joined(3);
    const { id, name } = first(w);
    const web = neverLeaving(w, 6);
    w.xid(id, 79);
    await w.until(() => phaseOf(w, id) === "draining", 60);
    await w.live(20);
    const { kube } = clusterOf(w);
    const from = kube.journal.length;
    kube.person.recreate(name);
    const { uid } = objectOf(w, id);
    await w.live(60);
    expect(isMarked(objectOf(w, id))).toBe(true);
    const ours = kube.journal.slice(from).filter(({ by }) => by === "api");
    expect(ours[0]).toMatchObject({ uid, manager: "navarch-cordon", verb: "patch" });
    expect(phaseOf(w, id)).toBe("draining");
    expect(web.on(name).length).toBeGreaterThan(0);
  });
});

describe("a drained node that waits for a person", () => {
  test("is marked again when its Node is registered again", async () => {
    const w = await joined(3);
    const { id, name } = first(w);
    const web = clusterOf(w).run({ name: "web", replicas: 6, stopMs: 8_000 });
    w.xid(id, 79);
    await w.until(() => phaseOf(w, id) === "draining", 60);
    await order(w, id, "cordon");
    await w.until(() => web.on(name).length === 0, 120);
    await w.live(30);
    clusterOf(w).kube.person.recreate(name);
    await w.live(1);
    expect(isMarked(objectOf(w, id))).toBe(true);
    await pass(w, 300);
    expect(web.on(name)).toEqual([]);
    expect(lives(w, instanceOf(w, id))).toBe(true);
  });
});

describe("two Node objects of one machine", () => {
  test("nothing is done to either, and an alarm is raised; it goes on when one is gone", async () => {
    const w = await joined(3);
    const { id, name } = first(w);
    const { kube } = clusterOf(w);
    const spec = { providerID: `navarch://fake/local/${instanceOf(w, id)}` };
    kube.seed("nodes", { metadata: { name: "twin" }, spec });
    await w.live(5);
    const before = writes(w).length;
    w.xid(id, 79);
    await pass(w, 1_200);
    expect(writes(w).length).toBe(before);
    expect(counts(w).ended).toBe(0);
    const [alarm = ""] = w.reconciler.cluster().alarms;
    expect(alarm).toContain("twin");
    kube.person.remove("nodes", "", "twin");
    await w.until(() => clusterOf(w).node(name) === null, 600);
    expect(w.reconciler.cluster().alarms).toEqual([]);
    expect(kubeWrongs(w)).toEqual([]);
  });
});
