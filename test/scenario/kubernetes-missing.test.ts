/**
 * Node objects that someone deletes: of a healthy machine, which is paid and takes no pods until
 * its kubelet restarts, and of a sick one whose repair is held up.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import type { NodeId } from "../../schema/id.ts";
import type { World } from "../world/world.ts";
import { openWorldApp } from "../world/app.ts";
import { clusterOf, freeze, joined, kubeWrongs, nameOf } from "../world/cluster.ts";
import { counts, closeWorlds, instanceOf, lives, order, phaseOf, told } from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(60_000);

const first = (w: World): { id: string; name: string } => {
  const [id = ""] = w.serving();
  return { id, name: nameOf(w, id) };
};

const iso = (at: number): string => new Date(at).toISOString();

test("of a healthy machine: nothing is bought for it, and everything says so until it is back", async () => {
  const w = await joined(3);
  const app = openWorldApp(w);
  const { id, name } = first(w);
  const gauge = async (): Promise<string> => {
    const page = (await app.call("GET", "/metrics", undefined, null)).text;
    return /^navarch_kube_missing_nodes\{pool="p"\} (\d+)$/m.exec(page)?.[1] ?? "";
  };
  const doctor = async () => (await app.call("GET", "/v1/kubernetes")).body;
  expect(await gauge()).toBe("0");
  expect(await doctor()).toMatchObject({ matched: 3, expected: 3, missing_nodes: [] });
  await w.live(600);
  clusterOf(w).kube.person.remove("nodes", "", name);
  await w.live(60);
  const since = w.node(id).kube?.absentSince ?? 0;
  expect(w.clock.wallMs() - since).toBeLessThan(61_000);
  expect(phaseOf(w, id)).toBe("serving");
  expect(await gauge()).toBe("1");
  expect(await doctor()).toMatchObject({
    matched: 2,
    expected: 3,
    missing_nodes: [{ node_id: id, name, since: iso(since) }],
  });
  const { body } = await app.call("GET", `/v1/nodes/${id}/explain`);
  expect(String(body["state"])).toContain(`is no longer in Kubernetes since ${iso(since)}`);
  expect(String(body["next"])).toContain("restart its kubelet");
  expect(String(body["next"])).toContain(`\`navarch replace ${id}\``);
  const pool = (await app.call("GET", "/v1/pools/p")).body;
  expect(String(pool["conditions"])).toContain("1 node has no Node object in Kubernetes");
  expect(told(w, "kube.lost")).toHaveLength(1);
  // As long as a new machine may take to join, and then once.
  await w.live(800);
  expect(told(w, "kube.lost")).toHaveLength(1);
  await w.live(3_600);
  const [, late] = told(w, "kube.lost");
  expect(told(w, "kube.lost")).toHaveLength(2);
  expect(late?.node).toBe(id as NodeId);
  expect(Math.floor(((late?.at ?? 0) - since) / 1_000)).toBe(900);
  expect(late?.message).toContain(`Node ${name} is missing in Kubernetes since ${iso(since)}`);
  expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
  clusterOf(w).register(instanceOf(w, id));
  await w.live(5);
  expect(w.node(id).kube).toMatchObject({ absentSince: null });
  expect(w.node(id).kube?.missedAt).toBeUndefined();
  expect(await gauge()).toBe("0");
  expect(kubeWrongs(w)).toEqual([]);
});

test("of a healthy machine that a person has replaced: the next one has a Node", async () => {
  const w = await joined(2);
  const { id, name } = first(w);
  const machine = instanceOf(w, id);
  clusterOf(w).kube.person.remove("nodes", "", name);
  await w.live(60);
  await order(w, id, "replace");
  await w.until(() => !lives(w, machine) && w.serving().length === 2, 1_800);
  expect(w.serving().map((node) => w.node(node).kube?.absentSince)).toEqual([null, null]);
  expect(kubeWrongs(w)).toEqual([]);
});

test("of a sick machine whose repair waits: it goes on, and ends the machine once", async () => {
  const w = await joined(3);
  const { id, name } = first(w);
  const machine = instanceOf(w, id);
  const web = clusterOf(w).run({ name: "web", replicas: 6, stopMs: 8_000 });
  await w.until(() => web.on(name).length > 0, 60);
  const thaw = await freeze(w);
  w.xid(id, 48);
  await w.until(() => phaseOf(w, id) === "suspect", 60);
  clusterOf(w).kube.person.remove("nodes", "", name);
  await w.live(600);
  expect(lives(w, machine)).toBe(true);
  await thaw();
  await w.until(() => !lives(w, machine) && w.serving().length === 3, 1_800);
  expect(counts(w)).toEqual({ live: 3, ended: 1, asks: 4 });
  expect(clusterOf(w).node(name)).toBeNull();
  expect(kubeWrongs(w)).toEqual([]);
});
