/**
 * A fleet whose Kubernetes cluster does not answer, answers late, or forbids to look: what cannot
 * be seen is neither empty nor gone, and nothing that cannot be taken back is begun on a guess.
 */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { NO_FAULT } from "../../simulator/cluster/fault.ts";
import type { World } from "../world/world.ts";
import {
  chronicle,
  clusterOf,
  darken,
  isMarked,
  joined,
  kubeWrongs,
  nameOf,
  neverLeaving,
  objectOf,
  pass,
  yamlOf,
} from "../world/cluster.ts";
import {
  counts,
  closeWorlds,
  instanceOf,
  lives,
  open,
  order,
  phaseOf,
  restart,
  told,
  waitOf,
} from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(60_000);

const first = (w: World): string => w.serving()[0] ?? "";
const MINUTES_10 = 600;

/** Until the machine of `name` and then its Node are gone. */
const ended = (w: World, name: string): Promise<void> =>
  w.until(() => clusterOf(w).node(name) === null, 1_200);

describe("a cluster that is dark for ten minutes", () => {
  /** Each phase of a repair in which the darkness may begin, and what it needs. */
  const PHASES: [string, (w: World, id: string) => boolean][] = [
    ["before the evidence", () => true],
    ["when the node is suspect", (w, id) => phaseOf(w, id) === "suspect"],
    ["when the mark is on it", (w, id) => isMarked(objectOf(w, id))],
    ["when the drain begins", (w, id) => phaseOf(w, id) === "draining"],
    ["after the first eviction", (w) => clusterOf(w).kube.evictions.size > 0],
  ];

  test.each(PHASES)("%s: nothing is ended, and it resumes", async (_name, when) => {
    // A long deadline, so that it is the darkness that holds it back.
    const w = await joined(3, { pool: pool("4h") });
    const id = first(w);
    const machine = instanceOf(w, id);
    const name = nameOf(w, id);
    const { kube } = clusterOf(w);
    const web = clusterOf(w).run({ name: "web", replicas: 9, minAvailable: 8 });
    w.xid(id, 79);
    for (let i = 0; i < 1_000 && !when(w, id); i++) {
      if (i % 100 === 0) await w.report();
      await w.reconciler.activate();
      await w.clock.pass(10);
    }
    expect(when(w, id)).toBe(true);
    const light = darken(w);
    const asked = kube.evictions.size;
    await pass(w, MINUTES_10);
    expect(lives(w, machine)).toBe(true);
    expect(kube.evictions.size).toBe(asked);
    expect(web.on(name).length).toBeGreaterThan(0);
    light();
    await ended(w, name);
    expect(kubeWrongs(w)).toEqual([]);
    expect(chronicle(w, machine, [web]).map(({ what }) => what)).not.toContain("delete pod by api");
  });

  test("once the machine was ordered to end: it ends, and its Node goes when the light is back", async () => {
    const w = await joined(3);
    const id = first(w);
    const machine = instanceOf(w, id);
    const name = nameOf(w, id);
    w.xid(id, 79);
    await w.until(() => phaseOf(w, id) === "terminating", 120);
    const light = darken(w);
    await pass(w, MINUTES_10);
    expect(lives(w, machine)).toBe(false);
    expect(clusterOf(w).node(name)).not.toBeNull();
    light();
    await ended(w, name);
    expect(kubeWrongs(w)).toEqual([]);
  });

  test("a deadline that passes in the dark ends nothing", async () => {
    const w = await joined(3, { pool: pool("3m") });
    const id = first(w);
    const machine = instanceOf(w, id);
    const name = nameOf(w, id);
    const stays = neverLeaving(w, 6);
    w.xid(id, 79);
    await w.until(() => phaseOf(w, id) === "draining", 60);
    await w.live(30);
    const light = darken(w);
    await pass(w, MINUTES_10);
    expect(lives(w, machine)).toBe(true);
    expect(waitOf(w, id)).toBe("blind");
    expect(stays.on(name).length).toBeGreaterThan(0);
    light();
    await w.until(() => !lives(w, machine), 300);
    await ended(w, name);
    expect(kubeWrongs(w)).toEqual([]);
  });

  test("a process that starts in the dark ends nothing that was half drained", async () => {
    const w = await joined(3, { pool: pool("4h") });
    const id = first(w);
    const machine = instanceOf(w, id);
    clusterOf(w).run({ name: "web", replicas: 9, minAvailable: 8 });
    w.xid(id, 79);
    await w.until(() => clusterOf(w).kube.evictions.size > 0, 60);
    const light = darken(w);
    for (let i = 0; i < 3; i++) {
      await w.crash();
      await w.start();
      // An agent that is quicker than the loop: its list of processes is no list of pods.
      await w.report();
      await w.live(100);
    }
    expect(lives(w, machine)).toBe(true);
    expect(told(w, "kube.lost")).toEqual([]);
    light();
    await ended(w, nameOf0(machine));
    expect(kubeWrongs(w)).toEqual([]);
  });

  test("watches that stay open and tell nothing are dark, until lists take their place", async () => {
    const w = await joined(3, { pool: pool("4h") });
    const id = first(w);
    const machine = instanceOf(w, id);
    const { kube } = clusterOf(w);
    const web = clusterOf(w).run({ name: "web", replicas: 9, minAvailable: 8 });
    await w.live(5);
    kube.setFault({ frozenWatch: true });
    // The silence is noticed after 75 s, in the middle of the drain.
    await w.live(60);
    w.xid(id, 79);
    let wasDark = false;
    // It lasts for a second or two each time: the list comes soon.
    const isDark = (): boolean => w.reconciler.cluster().cluster?.dark() !== null;
    for (let i = 0; i < 900 && lives(w, machine); i++) {
      if (i % 10 === 0) await w.report();
      await w.turn();
      for (let part = 0; part < 4; part++) {
        await w.clock.pass(250);
        wasDark ||= isDark();
        if (isDark()) expect(lives(w, machine)).toBe(true);
      }
    }
    expect(wasDark).toBe(true);
    kube.setFault(NO_FAULT);
    await ended(w, nameOf0(machine));
    expect(chronicle(w, machine, [web]).map(({ what }) => what)).not.toContain("delete pod by api");
    expect(kubeWrongs(w)).toEqual([]);
  });
});

const nameOf0 = (machine: string): string => `gpu-${machine}`;

/** Pool `p` with this drain deadline, for faults too. */
const pool = (timeout: string, more = ""): string =>
  "    health: { unhealthy_threshold: 1 }\n" +
  `    drain: { timeout: ${timeout}, fatal_timeout: ${timeout}${more} }\n`;

describe("a cluster that is dark from the start", () => {
  test("the fleet comes up, a sick node waits, and is repaired once there is light", async () => {
    const w = await open(yamlOf(3), { kubernetes: { fault: { down: true } } });
    await w.until(() => w.serving().length === 3, 180);
    const id = first(w);
    const machine = instanceOf(w, id);
    const web = clusterOf(w).run({ name: "web", replicas: 6 });
    w.xid(id, 79);
    await pass(w, 1_200);
    expect(lives(w, machine)).toBe(true);
    expect(web.on(nameOf0(machine)).length).toBeGreaterThan(0);
    clusterOf(w).kube.setFault(NO_FAULT);
    await ended(w, nameOf0(machine));
    const what = chronicle(w, machine, [web]).map((step) => step.what);
    expect(what.indexOf("patch navarch-cordon")).toBeLessThan(what.indexOf("evict"));
    expect(kubeWrongs(w)).toEqual([]);
  });
});

describe("a server that forbids to look", () => {
  const deny = ["list nodes", "watch nodes", "list pods", "watch pods"];

  test("found by itself: the fleet is healed without it, and the missing rule is named", async () => {
    const yaml = yamlOf(3).replace("enabled: true", "enabled: auto");
    const w = await open(yaml, { kubernetes: { denied: deny } });
    await w.until(() => w.serving().length === 3, 180);
    const id = first(w);
    const machine = instanceOf(w, id);
    w.xid(id, 79);
    await w.until(() => !lives(w, machine), 300);
    await w.until(() => w.serving().length === 3, 300);
    expect(counts(w)).toEqual({ live: 3, ended: 1, asks: 4 });
    const asked = w.reconciler.cluster().cluster?.missing();
    await w.live(10);
    const missing = await asked;
    expect(missing).toMatchObject({ kind: "ok" });
    expect(JSON.stringify(missing)).toContain("list");
    expect(clusterOf(w).kube.journal.filter(({ by }) => by === "api")).toEqual([]);
  });

  test("named in the configuration: it is dark, and nothing is ended", async () => {
    const w = await open(yamlOf(3), { kubernetes: { denied: deny } });
    await w.until(() => w.serving().length === 3, 180);
    const id = first(w);
    const machine = instanceOf(w, id);
    w.xid(id, 79);
    await pass(w, 1_200);
    expect(lives(w, machine)).toBe(true);
  });
});

describe("a budget that never gives way", () => {
  test("is waited for until the deadline, then its pods are deleted in time, and it is told", async () => {
    const w = await joined(3, { pool: pool("10m") });
    const id = first(w);
    const machine = instanceOf(w, id);
    const name = nameOf(w, id);
    const stays = neverLeaving(w, 6);
    const uids = stays.on(name).map(({ uid }) => uid);
    w.xid(id, 79);
    await w.until(() => phaseOf(w, id) === "draining", 60);
    await pass(w, 500);
    expect(stays.on(name).map(({ uid }) => uid)).toEqual(uids);
    expect(lives(w, machine)).toBe(true);
    await ended(w, name);
    const steps = chronicle(w, machine, [stays]);
    const ends = steps.filter(({ what }) => what === "delete pod by api");
    expect(ends.map(({ uid }) => uid).sort()).toEqual([...uids].sort());
    const end = steps.find(({ what }) => what === "terminate.accepted");
    // With their whole grace before the deadline, and the machine after they are gone.
    for (const { at } of ends) expect(at).toBeLessThan(end?.at ?? 0);
    expect(clusterOf(w).kube.evictions.size).toBe(2);
    const events = clusterOf(w)
      .kube.list("events")
      .map((event) => event["reason"]);
    expect(events).toContain("DrainWaitsForBudget");
    expect(events).toContain("DrainDeadline");
    // Each owner reads it on the pod itself.
    for (const uid of uids) {
      const own = clusterOf(w)
        .kube.list("events")
        .filter((event) => (event["regarding"] as { uid?: string }).uid === uid)
        .map((event) => event["reason"]);
      expect(own.sort()).toEqual(["DeletedPastBudget", "EvictionBlocked"]);
    }
    expect(kubeWrongs(w)).toEqual([]);
  });

  test("holds a healthy node that a person drains, and says so", async () => {
    const w = await joined(3, { pool: pool("5m") });
    const id = first(w);
    const stays = neverLeaving(w, 6);
    await order(w, id, "replace");
    await pass(w, 900);
    expect(phaseOf(w, id)).toBe("held");
    expect(stays.pods().every(({ deletionAt }) => deletionAt === null)).toBe(true);
    expect(told(w, "node.held")).toHaveLength(1);
  });
});

describe("drain.mode wait", () => {
  test("asks nobody; the machine ends when its pods have finished by themselves", async () => {
    const w = await joined(3, { pool: pool("4h", ", mode: wait") });
    const id = first(w);
    const machine = instanceOf(w, id);
    const name = nameOf(w, id);
    const { kube } = clusterOf(w);
    const job = clusterOf(w).run({ name: "job", replicas: 6 });
    w.xid(id, 79);
    await pass(w, 1_200);
    expect(kube.evictions.size).toBe(0);
    expect(lives(w, machine)).toBe(true);
    for (const { namespace, name: pod } of job.on(name)) {
      kube.person.edit(
        "pods",
        namespace,
        pod,
        { status: { phase: "Succeeded" } },
        { sub: "status" },
      );
    }
    await ended(w, name);
    expect(kube.evictions.size).toBe(0);
    expect(kubeWrongs(w)).toEqual([]);
  });
});

describe("a cloud that says gone while the kubelet speaks", () => {
  test("the Node and its pods stay, and an alarm is raised, until it is silent", async () => {
    const w = await joined(3);
    const cluster = clusterOf(w);
    const id = first(w);
    const machine = instanceOf(w, id);
    const name = nameOf(w, id);
    const ds = cluster.run({ name: "agent", replicas: 1, kind: "DaemonSet" });
    const alarms: string[] = [];
    w.heard = (level, message, fields) =>
      void (level === "error" && alarms.push(`${message} ${String(fields?.["reason"])}`));
    // The machine lives on somewhere, whatever its cloud says.
    cluster.haunt(machine);
    w.xid(id, 79);
    await w.until(() => !lives(w, machine), 300);
    await pass(w, 900);
    expect(cluster.node(name)).not.toBeNull();
    expect(ds.on(name)).toHaveLength(1);
    expect(alarms.join()).toContain("renews its lease");
    expect(w.reconciler.cluster().cluster?.status().doubts.join()).toContain(name);
    cluster.cut(machine);
    const silentAt = w.clock.wallMs();
    await ended(w, name);
    expect(w.clock.wallMs() - silentAt).toBeGreaterThanOrEqual(40_000);
    expect(kubeWrongs(w)).toEqual([]);
  });
});

describe("answers that are lost", () => {
  const onCordon = (lostAnswers: number) => ({
    lostAnswers,
    concerns: ({ query }: { query?: Readonly<Record<string, string>> }) =>
      query?.["fieldManager"] === "navarch-cordon",
  });

  test("a cordon that was done and not answered is done once, and the repair goes on", async () => {
    const w = await joined(3);
    const { kube } = clusterOf(w);
    const id = first(w);
    const name = nameOf(w, id);
    kube.setFault(onCordon(1));
    w.xid(id, 79);
    await w.live(20);
    expect(objectOf(w, id).unschedulable).toBe(true);
    kube.setFault(NO_FAULT);
    await ended(w, name);
    const patches = kube.journal.filter(
      (one) => one.manager === "navarch-cordon" && one.name === name,
    );
    expect(patches).toHaveLength(1);
    expect(kubeWrongs(w)).toEqual([]);
  });

  test("an eviction that was done and not answered is looked at before it is asked again", async () => {
    const w = await joined(3);
    const { kube } = clusterOf(w);
    const id = first(w);
    const name = nameOf(w, id);
    clusterOf(w).run({ name: "web", replicas: 9, stopMs: 20_000 });
    kube.setFault({ lostAnswers: 1, concerns: ({ path }) => path.endsWith("/eviction") });
    w.xid(id, 79);
    await ended(w, name);
    expect(kube.evictions.size).toBe(3);
    for (const { asked } of kube.evictions.values()) expect(asked).toBe(1);
    expect(kubeWrongs(w)).toEqual([]);
  });

  test("a person who uncordons between the lost answer and its replay wins", async () => {
    const w = await joined(3);
    const { kube } = clusterOf(w);
    const id = first(w);
    const name = nameOf(w, id);
    neverLeaving(w, 6);
    kube.setFault(onCordon(1));
    w.xid(id, 79);
    await w.report();
    for (let i = 0; i < 500 && !objectOf(w, id).unschedulable; i++) {
      await w.reconciler.activate();
      await w.clock.pass(2);
    }
    expect(objectOf(w, id).unschedulable).toBe(true);
    kube.person.uncordon(name);
    kube.setFault(NO_FAULT);
    await pass(w, 900);
    expect(objectOf(w, id).unschedulable).toBe(false);
    expect(phaseOf(w, id)).toBe("serving");
    expect(counts(w).ended).toBe(0);
    expect(w.node(id).lastSession?.how).toBe("cancelled");
  });
});

describe("one machine under two names", () => {
  test.each(["before", "after"])("an agent that speaks as its Node %s the match", async (when) => {
    const late: { open: boolean } = { open: when === "after" };
    const w = await open(yamlOf(2), { kubernetes: { joins: () => late.open } });
    w.say = async (id) => {
      const agent = w.agent(id);
      if (agent.quiet) return;
      const instance = [...w.cloud.world().instances.values()].find((one) => one.nodeId === id);
      const name = clusterOf(w).nameOf(instance?.instance.id ?? ("?" as never));
      await w.sayAs(id, name);
    };
    await w.live(60);
    late.open = true;
    // What spoke under a Node's name before it was known whose that is has fallen silent by then.
    const known = (): string[] => w.serving().filter((id) => w.node(id).instance !== null);
    await w.until(() => known().length === 2 && w.serving().length === 2, 900);
    expect(counts(w)).toMatchObject({ live: 2, ended: 0 });
    // The records under the Nodes' names are gone before anybody could call them silent.
    await w.until(() => w.nodes().length === 2, 120);
    await pass(w, 300);
    expect(w.nodes().map(({ instance }) => instance === null)).toEqual([false, false]);
    expect(told(w, "node.silent")).toEqual([]);
    // Evidence under the Node's name is evidence against the machine.
    const id = first(w);
    const machine = instanceOf(w, id);
    w.xid(id, 79);
    await w.until(() => !lives(w, machine), 300);
    await w.until(() => known().length === 2, 300);
    await pass(w, 300);
    expect(w.serving()).toEqual(known());
    expect(counts(w)).toMatchObject({ live: 2, ended: 1 });
    expect(kubeWrongs(w)).toEqual([]);
  });
});

test("a control plane that restarts in a drain evicts nobody twice", async () => {
  const w = await joined(3, { pool: pool("4h") });
  const id = first(w);
  const machine = instanceOf(w, id);
  const web = clusterOf(w).run({ name: "web", replicas: 9, minAvailable: 8, stopMs: 8_000 });
  w.xid(id, 79);
  for (let i = 0; i < 20; i++) {
    await w.live(4);
    if (!lives(w, machine)) break;
    await restart(w);
  }
  await ended(w, nameOf0(machine));
  for (const { asked, granted } of clusterOf(w).kube.evictions.values())
    expect({ asked, granted }).toEqual({ asked, granted: 1 });
  expect(web.pods()).toHaveLength(9);
  expect(kubeWrongs(w)).toEqual([]);
});
