/**
 * What people do to a real cluster in the middle of a drain by the compiled control plane: pods and
 * Nodes that come back under their old name as something else, Nodes that are deleted, and two
 * Nodes that say they are one machine.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { KubernetesView, NodeView } from "../../../schema/api.ts";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "./binary.ts";
import type { AuditEntry } from "./cluster.ts";
import type { Joined } from "./joined.ts";
import { openProxy, type Proxy } from "./proxy.ts";
import { endsOf, Ground, waitReplaced } from "./trouble-ground.ts";

const missing = await whyNoCluster();

let ground: Ground;
let proxy: Proxy;

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  ground = await Ground.open();
  const { url, authority, folder } = ground.cluster;
  proxy = await openProxy({ url, authority }, folder);
}, 600_000);
afterEach(async () => {
  if (missing === null) expect(await ground.clear()).toEqual([]);
}, 60_000);
afterAll(async () => {
  if (missing !== null) return;
  await proxy.close();
  expect(await ground.close()).toEqual([]);
}, 60_000);

async function first(joined: Joined, size: number): Promise<NodeView & { name: string }> {
  const [node] = await joined.start(size);
  if (node === undefined || node.kubernetes_node === null) throw new Error("no node");
  return { ...node, name: node.kubernetes_node };
}

type Uid = { metadata: { uid: string } };

/** As its kubelet or its cloud's controller would make it again: same name, same machine. */
async function addNode(name: string, instance: string): Promise<string> {
  const [made] = await ground.cluster.addNodes(1, {
    name: () => name,
    providerId: () => `navarch://fake/local/${instance}`,
    labels: { "test/gpu": "true" },
  });
  return made?.metadata.uid ?? "";
}

const instanceOf = (node: NodeView): string => node.instance_id ?? "";

/** The product's own mark, told apart from other patches by its field manager. */
function isMark({ verb, requestURI }: AuditEntry, name: string): boolean {
  return verb === "patch" && requestURI.startsWith(`/api/v1/nodes/${name}?`)
    ? requestURI.includes("navarch-cordon")
    : false;
}

function isRemoval({ verb, objectRef }: AuditEntry): boolean {
  return (
    objectRef?.subresource === "eviction" || (objectRef?.resource === "pods" && verb === "delete")
  );
}

describe.skipIf(missing !== null)("people in the middle of a drain", () => {
  test("a pod comes back under its name while its eviction is on the way: it stays", async () => {
    const { cluster } = ground;
    const joined = ground.plane(
      { size: 2, pool: "    drain: { force: true, grace_period: 1s }" },
      proxy.kubeconfig(cluster.kubeconfig("product")),
    );
    const sick = await first(joined, 2);
    const other = (await joined.plane.serving()).find(({ node_id }) => node_id !== sick.node_id);
    const make = async (node: string): Promise<string> => {
      const [pod] = await cluster.addPods(1, { name: () => "twin", node: () => node, graceS: 1 });
      return pod?.metadata.uid ?? "";
    };
    const old = await make(sick.name);
    const held = Promise.withResolvers<void>();
    const waiting = Promise.withResolvers<void>();
    let isHeld = false;
    proxy.set(({ method, path }) => {
      if (method !== "POST" || !path.endsWith("/pods/twin/eviction") || isHeld) return null;
      isHeld = true;
      waiting.resolve();
      return { kind: "late", until: held.promise };
    });
    ground.breakNode(joined.plane, sick);
    await waiting.promise;
    const path = "/api/v1/namespaces/default/pods/twin";
    await cluster.request(`${path}?gracePeriodSeconds=0`, { method: "DELETE" });
    // Where it drains, so that only the UID tells the two apart.
    const twin = await make(sick.name);
    expect(twin).not.toBe(old);
    held.resolve();
    const refused = await until("the eviction is answered", 20_000, () => {
      const told = ground.audit.filter(({ objectRef, requestURI }) => {
        return objectRef?.subresource === "eviction" && requestURI.includes("/twin/");
      });
      return told[0] ?? null;
    });
    expect(refused.responseStatus?.code).toBe(409);
    // It is then deleted once, by its own UID.
    await waitReplaced(joined.plane, sick, 120_000);
    const removals = ground.removals().filter(({ name }) => name === "twin");
    expect(removals.map(({ uid }) => uid)).toEqual([twin]);
    expect(ground.judge(joined.plane.cloudDir)).toEqual([]);
    expect(other).toBeDefined();
  }, 240_000);

  test("a Node is recreated mid-drain: it is marked before anybody leaves", async () => {
    const { cluster } = ground;
    const joined = ground.plane({ size: 3 });
    const sick = await first(joined, 3);
    const work = await ground.work(12, 1);
    ground.breakNode(joined.plane, sick);
    await until("a pod was evicted", 30_000, () => (ground.evicted(work) > 0 ? true : null));
    await cluster.request(`/api/v1/nodes/${sick.name}`, { method: "DELETE" });
    const before = ground.audit.length;
    const uid = await addNode(sick.name, instanceOf(sick));
    const bornAt = Date.now();
    await waitReplaced(joined.plane, sick, 150_000);
    const since = ground.audit.slice(before);
    const mark = since.findIndex((one) => isMark(one, sick.name));
    expect(mark).toBeGreaterThanOrEqual(0);
    // What was asked before the new one was there is of the old one.
    const madeAt = Date.parse(since[mark]?.requestReceivedTimestamp ?? "");
    const early = since.filter(isRemoval).map((one) => Date.parse(one.requestReceivedTimestamp));
    expect(early.filter((atMs) => atMs > bornAt && atMs < madeAt)).toEqual([]);
    const kinds = (await joined.plane.events(`&node=${sick.node_id}`)).map(({ kind }) => kind);
    expect(kinds).toContain("kube.changed");
    expect(uid).not.toBe("");
    expect(ground.judge(joined.plane.cloudDir)).toEqual([]);
  }, 240_000);

  test("a Node is deleted mid-drain: its machine is not lost, and is terminated once", async () => {
    const { cluster } = ground;
    const joined = ground.plane({ size: 3 });
    const sick = await first(joined, 3);
    const work = await ground.work(12, 1);
    const id = ground.breakNode(joined.plane, sick);
    await until("a pod was evicted", 30_000, () => (ground.evicted(work) > 0 ? true : null));
    await cluster.request(`/api/v1/nodes/${sick.name}`, { method: "DELETE" });
    await waitReplaced(joined.plane, sick, 120_000);
    const kinds = (await joined.plane.events(`&node=${sick.node_id}`)).map(({ kind }) => kind);
    expect(kinds).toContain("kube.lost");
    expect(kinds).not.toContain("instance.lost");
    expect(endsOf(joined.plane.cloudDir).map((one) => one.id)).toEqual([id]);
    expect(ground.judge(joined.plane.cloudDir)).toEqual([]);
  }, 240_000);

  test("two Nodes say that they are one machine: an alarm, and nothing is done to either", async () => {
    const { cluster } = ground;
    const joined = ground.plane({ size: 2 });
    const { plane } = joined;
    const sick = await first(joined, 2);
    const work = await ground.work(6, 1);
    await addNode("impostor", instanceOf(sick));
    const told = await until("it is told", 20_000, async () => {
      const { alarms } = await plane.get<KubernetesView>("/kubernetes");
      return alarms.length > 0 ? alarms : null;
    });
    expect(told.join(" ")).toContain("impostor");
    const before = ground.audit.length;
    ground.breakNode(plane, sick);
    await until("the fault is known", 20_000, async () => {
      const events = await plane.events(`&node=${sick.node_id}`);
      return events.some(({ kind }) => kind === "node.unhealthy") ? true : null;
    });
    // Long enough for a mark, an eviction and an end, if anybody wanted them.
    const quietUntil = Date.now() + 10_000;
    while (Date.now() < quietUntil) {
      expect(endsOf(plane.cloudDir)).toEqual([]);
      await Bun.sleep(500);
    }
    const since = ground.audit.slice(before);
    for (const name of [sick.name, "impostor"]) {
      expect(since.filter((one) => isMark(one, name)).map(({ requestURI }) => requestURI)).toEqual(
        [],
      );
    }
    expect(since.filter(isRemoval)).toEqual([]);
    expect(ground.evicted(work)).toBe(0);
    // A person sorts it out, and what was due is done.
    const path = "/api/v1/nodes/impostor";
    expect((await cluster.json<Uid>(path)).metadata.uid).not.toBe("");
    await cluster.request(path, { method: "DELETE" });
    await waitReplaced(plane, sick, 150_000);
    expect(ground.judge(plane.cloudDir)).toEqual([]);
  }, 240_000);
});
