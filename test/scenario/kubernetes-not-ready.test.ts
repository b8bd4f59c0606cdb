/**
 * Nodes in service that turn NotReady, or leave the cluster, while their agents go on reporting:
 * told within two minutes, and repaired only where the configuration says so, never on the word of
 * a cluster that is dark or that calls many Nodes NotReady at once.
 */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { World } from "../world/world.ts";
import { openWorldApp } from "../world/app.ts";
import { clusterOf, darken, freeze, joined, kubeWrongs, nameOf, pass } from "../world/cluster.ts";
import { closeWorlds, counts, instanceOf, lives, phaseOf, restart, told } from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(60_000);

type Ready = "True" | "False" | "Unknown";

/** The cluster says something else of the Node's kubelet from now on. */
function say(w: World, id: string, status: Ready): void {
  const how = { manager: "kubelet", sub: "status" } as const;
  const reason = status === "True" ? "KubeletReady" : "NodeStatusUnknown";
  const conditions = [{ type: "Ready", status, reason }];
  clusterOf(w).kube.person.edit("nodes", "", nameOf(w, id), { status: { conditions } }, how);
}

const AFTER = { kube: "  not_ready_after: 10m\n" };

/** A fleet whose first node turns NotReady. */
async function lame(size: number, more: Parameters<typeof joined>[1] = AFTER) {
  const w = await joined(size, more);
  await w.live(60);
  const [id = ""] = w.serving();
  return { w, id, machine: instanceOf(w, id) };
}

test("is told everywhere within two minutes, and is left alone by default", async () => {
  const { w, id } = await lame(3, {});
  const app = openWorldApp(w);
  const gauge = async (): Promise<string> => {
    const page = (await app.call("GET", "/metrics", undefined, null)).text;
    return /^navarch_kube_not_ready_nodes\{pool="p"\} (\d+)$/m.exec(page)?.[1] ?? "";
  };
  const get = async (path: string) => (await app.call("GET", path)).body;
  expect(await gauge()).toBe("0");
  say(w, id, "Unknown");
  await w.live(50);
  expect(told(w, "kube.not_ready")).toEqual([]);
  await w.live(60);
  const [event, ...more] = told(w, "kube.not_ready");
  expect(more).toEqual([]);
  expect(event?.node as string).toBe(id);
  expect(event?.message).toContain(`Node ${nameOf(w, id)} is not Ready`);
  expect(await gauge()).toBe("1");
  expect(await get("/v1/kubernetes")).toMatchObject({
    not_ready_nodes: [{ node_id: id, name: nameOf(w, id), shows: "Unknown (NodeStatusUnknown)" }],
  });
  const { next } = await get(`/v1/nodes/${id}/explain`);
  expect(String(next)).toContain("is not Ready");
  expect(String(next)).toContain(`navarch replace ${id}`);
  const node = await get(`/v1/nodes/${id}`);
  expect(node).toMatchObject({ verdict: "degraded" });
  expect(String(node["reasons"])).toContain("is not Ready");
  const { conditions } = await get("/v1/pools/p");
  expect(String(conditions)).toContain("1 node is not Ready in Kubernetes");
  await pass(w, 7_200);
  expect(phaseOf(w, id)).toBe("serving");
  expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
  expect(told(w, "kube.not_ready")).toHaveLength(1);
  say(w, id, "True");
  await w.live(5);
  expect(told(w, "kube.ready")).toHaveLength(1);
  expect(await gauge()).toBe("0");
  expect(await get(`/v1/nodes/${id}`)).toMatchObject({ verdict: "healthy", reasons: [] });
  expect(kubeWrongs(w)).toEqual([]);
});

describe("with kubernetes.not_ready_after", () => {
  test("it is replaced after that time and not before", async () => {
    const { w, id, machine } = await lame(3);
    say(w, id, "Unknown");
    await pass(w, 590);
    expect(phaseOf(w, id)).toBe("serving");
    await w.until(() => !lives(w, machine) && w.serving().length === 3, 7_200);
    expect(counts(w)).toEqual({ live: 3, ended: 1, asks: 4 });
    expect(w.story(id)).toContain("node.suspect");
    expect(kubeWrongs(w)).toEqual([]);
  });

  test("one that left the cluster is replaced as well", async () => {
    const { w, id, machine } = await lame(3);
    clusterOf(w).kube.person.remove("nodes", "", nameOf(w, id));
    await pass(w, 590);
    expect(phaseOf(w, id)).toBe("serving");
    await w.until(() => !lives(w, machine) && w.serving().length === 3, 7_200);
    expect(counts(w)).toEqual({ live: 3, ended: 1, asks: 4 });
    expect(kubeWrongs(w)).toEqual([]);
  });

  test("a Node that is Ready again in the drain ends the repair", async () => {
    const { w, id } = await lame(3);
    const web = clusterOf(w).run({ name: "stays", replicas: 3, minAvailable: 3 });
    await w.until(() => web.on(nameOf(w, id)).length > 0, 60);
    say(w, id, "False");
    await w.until(() => phaseOf(w, id) === "draining", 1_200);
    say(w, id, "True");
    await w.until(() => phaseOf(w, id) === "serving", 300);
    await pass(w, 3_600);
    expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
    expect(kubeWrongs(w)).toEqual([]);
  });

  test("many at once are the cluster's fault, and none is touched", async () => {
    const { w } = await lame(4);
    const all = w.serving();
    for (const id of all.slice(0, 2)) say(w, id, "Unknown");
    await pass(w, 7_200);
    expect(all.map((id) => phaseOf(w, id))).toEqual(all.map(() => "serving"));
    expect(counts(w)).toEqual({ live: 4, ended: 0, asks: 4 });
    const [first = ""] = all;
    const { body } = await openWorldApp(w).call("GET", `/v1/nodes/${first}/explain`);
    expect(String(body["next"])).toContain("2 of 4 Nodes");
  });

  test("a repair that has begun stands still while many are NotReady", async () => {
    const { w, id, machine } = await lame(4);
    const web = clusterOf(w).run({ name: "stays", replicas: 4, minAvailable: 4 });
    await w.until(() => web.on(nameOf(w, id)).length > 0, 60);
    say(w, id, "Unknown");
    await w.until(() => phaseOf(w, id) === "draining", 1_200);
    for (const other of w.serving()) say(w, other, "Unknown");
    await pass(w, 7_200);
    expect(lives(w, machine)).toBe(true);
    expect(counts(w)).toEqual({ live: 4, ended: 0, asks: 4 });
  });

  test("time in which the API server does not answer does not count", async () => {
    const { w, id } = await lame(3);
    say(w, id, "Unknown");
    await pass(w, 480);
    const light = darken(w);
    await w.live(120);
    light();
    await pass(w, 480);
    expect(phaseOf(w, id)).toBe("serving");
    await w.until(() => phaseOf(w, id) !== "serving", 300);
  });

  test("time before a restart of the control plane does not count", async () => {
    const { w, id } = await lame(3);
    say(w, id, "Unknown");
    await pass(w, 540);
    await restart(w);
    await pass(w, 480);
    expect(phaseOf(w, id)).toBe("serving");
    await w.until(() => phaseOf(w, id) !== "serving", 300);
  });

  test.each(["is NotReady", "is deleted"])(
    "a Node that a person cordoned and that %s is theirs",
    async (what) => {
      const { w, id } = await lame(3);
      const name = nameOf(w, id);
      clusterOf(w).kube.person.cordon(name);
      await w.live(30);
      if (what === "is NotReady") say(w, id, "Unknown");
      else clusterOf(w).kube.person.remove("nodes", "", name);
      await pass(w, 7_200);
      expect(phaseOf(w, id)).toBe("serving");
      expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
    },
  );

  test("a freeze stops it, and the configuration's removal ends it", async () => {
    const { w, id } = await lame(3);
    const thaw = await freeze(w);
    say(w, id, "Unknown");
    await pass(w, 3_600);
    expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
    expect(w.node(id).cordon.product).toBeNull();
    say(w, id, "True");
    await w.live(30);
    await thaw();
    await w.until(() => phaseOf(w, id) === "serving", 300);
  });
});
