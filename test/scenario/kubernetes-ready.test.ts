/**
 * When a healthy machine counts as a node of its cluster: not before its Node is Ready and offers
 * the GPUs that the agent counts. What takes another's place waits for that, and nobody is ended
 * for it.
 */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { InstanceId } from "../../schema/id.ts";
import type { Node } from "../../schema/node.ts";
import type { World } from "../world/world.ts";
import {
  clusterOf,
  isMarked,
  joined,
  kubeWrongs,
  nameOf,
  objectOf,
  pass,
} from "../world/cluster.ts";
import { counts, closeWorlds, instanceOf, lie, order, phaseOf, resize } from "../world/story.ts";
import { type SaidWait, sayPlan } from "../../reconciler/core/plan.ts";

afterEach(closeWorlds);
setDefaultTimeout(60_000);

/** Of the simulated machines, as their agents count them. */
const GPUS = 2;

type Status = Readonly<Record<string, unknown>>;

const ready = (status: "True" | "False" | "Unknown"): Status => ({
  conditions: [{ type: "Ready", status, reason: status === "True" ? "" : "KubeletNotReady" }],
});
/** A merge of `null` takes away what the plugin had said. */
const offering = (gpus: number | null): Status => ({
  allocatable: { "nvidia.com/gpu": gpus === null ? null : String(gpus) },
});

/** The kubelet says something else of its Node from now on. */
function say(w: World, id: string, status: Status): void {
  const how = { manager: "kubelet", sub: "status" } as const;
  clusterOf(w).kube.person.edit("nodes", "", nameOf(w, id), { status }, how);
}

const waitOf = (w: World, id: string): SaidWait | undefined =>
  sayPlan(w.reconciler.lastPlan()).waits.find(({ node }) => node === id);

/** A GPU is too hot, which passes. */
function hot(w: World, id: string): void {
  const agent = w.agent(id);
  w.xid(id, 0);
  const last = agent.spool.at(-1);
  if (last === undefined) throw new Error("nothing was logged");
  const metrics = { temperature: 97, shutdown_limit: 95 };
  Object.assign(last.finding, {
    kind: "thermal",
    code: null,
    reason: "shutdown",
    pci: null,
    metrics,
  });
  agent.active = [`thermal/shutdown/${agent.uuids[0]}`];
}

type Late = { kube?: string; joins?: boolean; threshold?: number };

/** A fleet that becomes two, and the second of it, whose Node says `status` from its first day. */
async function grown(status: Status, { kube = "", joins = true, threshold = 1 }: Late = {}) {
  let isLate = false;
  const cluster = { status: () => (isLate ? status : {}), joins: () => !isLate || joins };
  const pool = `    health: { unhealthy_threshold: ${threshold} }\n`;
  const w = await joined(1, { kube, pool }, { cluster });
  isLate = true;
  await resize(w, 2);
  const isSecond = ({ gen, agent }: Node): boolean => gen === 2 && agent !== null;
  await w.until(() => w.nodes().some(isSecond), 90);
  await w.live(10);
  return { w, id: w.nodes().find(isSecond)?.id ?? "" };
}

describe("a healthy machine", () => {
  test.each([
    ["is not Ready", ready("False"), "is False (KubeletNotReady)"],
    ["has a kubelet that is silent", ready("Unknown"), "is Unknown (KubeletNotReady)"],
    ["has no kubelet's word", { conditions: [] }, "missing (no kubelet has reported)"],
    ["offers fewer GPUs", offering(GPUS - 1), `offers ${GPUS - 1} of its ${GPUS} GPUs`],
    ["offers none", offering(null), `does not offer its ${GPUS} GPUs`],
  ])("whose Node %s does not serve until it does, and is never ended", async (_, status, why) => {
    const { w, id } = await grown(status);
    expect(phaseOf(w, id)).toBe("verifying");
    expect(waitOf(w, id)).toMatchObject({ reason: "cluster" });
    expect(waitOf(w, id)?.message).toContain(why);
    await pass(w, 3_600);
    expect(phaseOf(w, id)).toBe("verifying");
    expect(waitOf(w, id)).toMatchObject({ reason: "human" });
    expect(waitOf(w, id)?.message).toContain(why);
    expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
    say(w, id, { ...ready("True"), ...offering(GPUS) });
    await w.live(10);
    expect(phaseOf(w, id)).toBe("serving");
    expect(kubeWrongs(w)).toEqual([]);
  });

  test("that offers more GPUs than it has, shared by time, serves", async () => {
    const { w, id } = await grown(offering(GPUS * 10));
    expect(phaseOf(w, id)).toBe("serving");
  });

  test.each([
    ["node", { ...ready("True"), ...offering(null) }, "serving"],
    ["node", { ...ready("False"), ...offering(GPUS) }, "verifying"],
    ["off", { ...ready("False"), ...offering(null) }, "serving"],
  ])("under `ready: %s`, case %#", async (mode, status, phase) => {
    const { w, id } = await grown(status, { kube: `  ready: ${mode}\n` });
    expect(phaseOf(w, id)).toBe(phase);
  });

  test("that joins after its agent has spoken is waited for", async () => {
    const { w, id } = await grown({}, { joins: false });
    expect(phaseOf(w, id)).toBe("verifying");
    expect(waitOf(w, id)).toMatchObject({
      reason: "cluster",
      message: "its Node is not in the cluster",
    });
    clusterOf(w).register(instanceOf(w, id));
    await w.live(10);
    expect(phaseOf(w, id)).toBe("serving");
  });

  test("that never joins, although others of its pool have, serves after the time for it", async () => {
    const { w, id } = await grown({}, { joins: false, kube: "  ready_timeout: 5m\n" });
    await pass(w, 200);
    expect(phaseOf(w, id)).toBe("verifying");
    await pass(w, 120);
    expect(phaseOf(w, id)).toBe("serving");
    expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
  });

  test("that waits for its cluster and is silent for a moment is not ended", async () => {
    const { w, id } = await grown(ready("False"));
    await pass(w, 1_200);
    w.agent(id).quiet = true;
    await w.until(() => w.node(id).health.silentSince !== null, 180);
    await w.live(60);
    w.agent(id).quiet = false;
    await w.live(60);
    expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
    expect(phaseOf(w, id)).toBe("verifying");
  });

  test("that waits for its cluster is drained when a person says so", async () => {
    const { w, id } = await grown(ready("False"));
    const web = clusterOf(w).run({ name: "web", replicas: 0 });
    web.startOn(nameOf(w, id));
    await w.live(5);
    await order(w, id, "drain");
    await w.until(() => phaseOf(w, id) === "draining", 30);
    await w.until(() => web.on(nameOf(w, id)).length === 0, 120);
    await w.live(30);
    expect(isMarked(objectOf(w, id))).toBe(true);
    expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
  });

  test("that waits for its cluster and looks sick once has as long as any to be well", async () => {
    const { w, id } = await grown(ready("False"), { threshold: 20 });
    await pass(w, 1_200);
    hot(w, id);
    await w.live(10);
    expect(w.node(id).health.verdict).toBe("unhealthy");
    w.agent(id).active = [];
    await w.live(120);
    expect(phaseOf(w, id)).toBe("verifying");
    expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
  });

  test.each(["stopped", "terminating", "terminated"] as const)(
    "that waits for its cluster and speaks is not ended because its cloud calls it %s",
    async (state) => {
      const { w, id } = await grown(ready("False"));
      await pass(w, 1_200);
      const own = instanceOf(w, id);
      const truth = lie(w, (all) => all.map((one) => (one.id === own ? { ...one, state } : one)));
      await w.live(60);
      expect(waitOf(w, id)).toMatchObject({ reason: "second_witness" });
      truth();
      await w.live(60);
      expect(phaseOf(w, id)).toBe("verifying");
      expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
    },
  );

  test("that serves goes on serving whatever its Node says later", async () => {
    const w = await joined(2);
    const [id = ""] = w.serving();
    say(w, id, { ...ready("Unknown"), ...offering(0) });
    await pass(w, 1_800);
    expect(phaseOf(w, id)).toBe("serving");
    expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
  });
});

test("surge: nothing is drained before the replacement's Node is Ready with its GPUs", async () => {
  const pool = "    health: { unhealthy_threshold: 1 }\n    replacement: surge\n";
  const late = new Set<InstanceId>();
  let isLate = false;
  const status = (instance: InstanceId): Status => {
    if (!isLate) return {};
    late.add(instance);
    return { ...ready("False"), ...offering(null) };
  };
  const w = await joined(2, { pool }, { cluster: { status } });
  const web = clusterOf(w).run({ name: "web", replicas: 4, minAvailable: 0 });
  const [sick = ""] = w.serving();
  isLate = true;
  w.xid(sick, 79);
  await w.until(() => late.size === 1, 200);
  const isFresh = ({ instance }: Node): boolean => instance !== null && late.has(instance.id);
  const fresh = w.nodes().find(isFresh)?.id ?? "";
  await w.until(() => phaseOf(w, fresh) === "verifying", 200);
  await pass(w, 300);
  expect(phaseOf(w, sick)).toBe("replacing");
  expect(web.on(nameOf(w, sick))).toHaveLength(2);
  say(w, fresh, ready("True"));
  await pass(w, 120);
  expect(phaseOf(w, sick)).toBe("replacing");
  say(w, fresh, offering(GPUS));
  await w.until(() => phaseOf(w, fresh) === "serving", 30);
  await w.until(() => w.story(sick).includes("node.terminated"), 300);
  expect(web.pods()).toHaveLength(4);
  expect(counts(w)).toEqual({ live: 2, ended: 1, asks: 3 });
  expect(kubeWrongs(w)).toEqual([]);
});
