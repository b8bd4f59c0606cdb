/**
 * Agents of a DaemonSet on machines that this fleet did not buy, as an ordinary install has them:
 * the address that their reports come from ties each to its Node. Where a proxy hides it, nothing
 * is written to a Node, and metric, explain, doctor and event say so.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import type { NodeId } from "../../schema/id.ts";
import type { World } from "../world/world.ts";
import { openWorldApp } from "../world/app.ts";
import { clusterOf, isMarked, joined } from "../world/cluster.ts";
import { closeWorlds, told } from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(60_000);

/** A Node with a running pod of the DaemonSet on it. */
function seed(w: World, name: string, ips: string[]): void {
  const { kube } = clusterOf(w);
  const ready = [{ type: "Ready", status: "True" }];
  const allocatable = { "nvidia.com/gpu": "2" };
  kube.seed("nodes", { metadata: { name }, status: { conditions: ready, allocatable } });
  const owner = { apiVersion: "apps/v1", kind: "DaemonSet", name: "agent", uid: "d" };
  kube.seed("pods", {
    metadata: {
      name: `agent-${name}`,
      namespace: "navarch",
      ownerReferences: [{ ...owner, controller: true }],
    },
    spec: { nodeName: name, containers: [] },
    status: { phase: "Running", podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) },
  });
}

/** From now on these report, too, each from its address. */
function speak(w: World, addresses: Map<string, string>): void {
  const { ingest } = w;
  const accept = ingest.accept.bind(ingest);
  const originOf = (node: NodeId) => ({
    address: addresses.get(node) ?? null,
    vouched: false,
    pod: null,
  });
  ingest.accept = (report, only) =>
    accept(report, only, undefined, addresses.has(report.node_id) ? originOf : undefined);
  const report = w.report.bind(w);
  for (const name of addresses.keys()) w.agent(name).pool = "p";
  w.report = async () => {
    await report();
    for (const name of addresses.keys()) await w.say(name);
  };
}

const gauge = async (w: World): Promise<string> => {
  const page = (await openWorldApp(w).call("GET", "/metrics", undefined, null)).text;
  return /^navarch_kube_unproven_nodes\{pool="p"\} (\d+)$/m.exec(page)?.[1] ?? "";
};

test("a DaemonSet's agents are tied to their Nodes, in IPv6, too", async () => {
  const w = await joined(2);
  seed(w, "k1", ["10.244.1.7", "fd00:10:244:1::7"]);
  seed(w, "k2", ["10.244.2.7", "fd00:10:244:2::7"]);
  const addresses = new Map([
    ["k1", "10.244.1.7"],
    ["k2", "fd00:10:244:2::7"],
  ]);
  speak(w, addresses);
  await w.until(() => w.serving().length === 4, 120);
  for (const name of addresses.keys()) {
    expect(w.node(name).kube).toMatchObject({ name, proof: "address" });
  }
  expect(await gauge(w)).toBe("0");
  w.xid("k2", 79);
  await w.until(() => isMarked(clusterOf(w).node("k2")), 120);
  expect(told(w, "kube.unproven")).toEqual([]);
});

test("agents behind one proxy are tied to none, and that is said until it is repaired", async () => {
  const w = await joined(2);
  const addresses = new Map([
    ["k1", "192.0.2.1"],
    ["k2", "192.0.2.1"],
  ]);
  seed(w, "k1", ["10.244.1.7"]);
  seed(w, "k2", ["10.244.2.7"]);
  speak(w, addresses);
  await w.until(() => w.serving().length === 4, 120);
  w.xid("k2", 79);
  await w.live(120);
  expect(clusterOf(w).node("k2")?.unschedulable).toBe(false);
  expect(await gauge(w)).toBe("2");
  const app = openWorldApp(w);
  const says = "no proof that this agent runs on Node k2: its reports come from 192.0.2.1";
  const { state } = (await app.call("GET", "/v1/nodes/k2/explain")).body;
  expect(String(state)).toContain(`Kubernetes shows no fault of it: ${says}`);
  expect(String((await app.call("GET", "/v1/kubernetes")).body["alarms"])).toContain(`k2: ${says}`);
  expect(told(w, "kube.unproven")).toHaveLength(2);
  for (const [n, name] of ["k1", "k2"].entries()) addresses.set(name, `10.244.${n + 1}.7`);
  await w.until(() => isMarked(clusterOf(w).node("k2")), 240);
  expect(await gauge(w)).toBe("0");
});
