/**
 * Admission that refuses, on a real API server and from the compiled binary: a webhook that answers
 * evictions with 503, and a policy that forbids cordons. Whoever looks (at `explain`, `doctor`, the
 * Node, the pod, the metrics) reads who refused and why, and who holds a Node whose machine is gone.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { injectXid } from "../../fixture/cloud/inject.ts";
import type { InstanceId } from "../../../schema/id.ts";
import type { NodeView } from "../../../schema/api.ts";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "./binary.ts";
import { type Cluster, openCluster } from "./cluster.ts";
import { Joined } from "./joined.ts";
import { navarch } from "./navarch.ts";
import { addPolicy, openWebhook } from "./webhook.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: refusals by a real API server: ${missing}`);

let cluster: Cluster;
let joined: Joined;
const undo: (() => Promise<void>)[] = [];

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  cluster = await openCluster();
  const more = "safety: { breaker: { enabled: false } }";
  const pool = "    drain: { timeout: 30m, fatal_timeout: 30m, force: true }";
  joined = new Joined(cluster, { size: 3, more, pool });
  await joined.start(3);
}, 600_000);
afterEach(async () => {
  for (const one of undo.splice(0)) await one();
});
afterAll(async () => {
  if (missing !== null) return;
  expect(await joined.close()).toEqual([]);
  expect(await cluster.close()).toEqual([]);
}, 60_000);

function fault(node: NodeView): void {
  const message = "Xid 79 for a test";
  injectXid(joined.plane.cloudDir, (node.instance_id ?? "") as InstanceId, { xid: 79, message });
}

async function nextNode(): Promise<NodeView & { name: string }> {
  const [node] = await joined.plane.serving();
  if (node === undefined || node.kubernetes_node === null) throw new Error("nobody serves");
  return { ...node, name: node.kubernetes_node };
}

const says = (what: string, words: string, ...args: string[]): Promise<string> =>
  until(what, 40_000, async () => {
    const { out } = await navarch(joined.plane, ...args);
    return out.includes(words) ? out : null;
  });

const describes = (words: string, ...what: string[]): Promise<string> =>
  until(`kubectl describe ${what.join(" ")} says ${words}`, 40_000, async () => {
    const { out } = await cluster.kubectl("describe", ...what);
    return out.includes(words) ? out : null;
  });

const refusedNodes = async (): Promise<string> => {
  const page = await (await fetch(`${joined.plane.url}/metrics`)).text();
  return /^navarch_kube_cordon_refused_nodes\{pool="gpus"\} (\d+)$/m.exec(page)?.[1] ?? "";
};

describe.skipIf(missing !== null)("a real API server", () => {
  test("whose webhook answers evictions with 503: it and its message are named", async () => {
    const rule = { resources: ["pods/eviction"], operations: ["CREATE"] };
    const hook = await openWebhook(cluster, "gate.example.test", rule);
    undo.push(() => hook.close());
    hook.set(() => ({ kind: "deny", code: 503, message: "checkpoint runs" }));
    const node = await nextNode();
    const name = (i: number): string => `job-${i}`;
    await cluster.addPods(4, { name, node: () => node.name, graceS: 1 });
    fault(node);
    const said = "4 pods refused by admission webhook gate.example.test: checkpoint runs";
    await says("explain names the webhook", said, "explain", node.name);
    await says("doctor too", `Node ${node.name}: ${said}`, "doctor", "kubernetes");
    await describes(said, "node", node.name);
    const own = await describes("EvictionBlocked", "pod", "job-0");
    expect(own).toContain("refused by admission webhook gate.example.test: checkpoint runs");
    hook.set(() => null);
    await until("the node is replaced", 90_000, async () => {
      const events = await joined.plane.events(`&node=${node.node_id}`);
      return events.some(({ kind }) => kind === "node.replaced") ? true : null;
    });
    const { out } = await cluster.kubectl("get", "events", "--field-selector=reason=Evicted");
    expect(out.match(/pod\/job-\d/g)?.length).toBe(4);
  }, 240_000);

  test("whose finalizer holds the Node of a machine that is gone: it is named", async () => {
    const node = await nextNode();
    const finalizers = (value: string[] | null) =>
      cluster.json(`/api/v1/nodes/${node.name}`, {
        method: "PATCH",
        contentType: "application/merge-patch+json",
        body: { metadata: { finalizers: value } },
      });
    await finalizers(["example.test/volumes"]);
    fault(node);
    const why = "its deletion has begun and waits for the finalizer example.test/volumes";
    const explained = await until("explain names the finalizer", 150_000, async () => {
      const { out } = await navarch(joined.plane, "explain", node.name);
      return out.includes(why) ? out : null;
    });
    expect(explained).toContain(`Next: Node ${node.name} is still in the cluster: ${why}`);
    await says("get too", why, "get", node.name);
    await says("doctor too", `${node.name}: ${why}`, "doctor", "kubernetes");
    await finalizers(null);
    await until("the Node is gone", 60_000, async () =>
      (await joined.node(node.name)) === null ? true : null,
    );
    await says("the name is remembered", "is no longer in Kubernetes", "explain", node.name);
    await says("get too", node.node_id, "get", node.name);
  }, 300_000);

  test("whose policy forbids cordons: shown until it allows them", async () => {
    const rule = { resources: ["nodes"], operations: ["UPDATE"] };
    const expression = "!has(object.spec.unschedulable) || !object.spec.unschedulable";
    const message = "cordons need a ticket";
    const allow = await addPolicy(cluster, "no-cordon", rule, { expression, message });
    undo.push(allow);
    const node = await nextNode();
    await until("the policy is in force", 30_000, async () => {
      const { err } = await cluster.kubectl("cordon", "--dry-run=server", node.name);
      return err.includes("denied request") ? true : null;
    });
    fault(node);
    const said = "refused by ValidatingAdmissionPolicy no-cordon: cordons need a ticket";
    await says("explain names the policy", said, "explain", node.name);
    const doctor = await says("doctor too", said, "doctor", "kubernetes");
    expect(doctor).toContain(`cordon of Node ${node.name}`);
    const shown = await describes("CordonRefused", "node", node.name);
    expect(shown).toContain(said);
    expect(await refusedNodes()).toBe("1");
    await allow();
    await until("it is cordoned", 60_000, async () =>
      (await joined.node(node.name))?.spec.unschedulable === true ? true : null,
    );
    await until("nothing is refused any more", 20_000, async () =>
      (await refusedNodes()) === "0" ? true : null,
    );
  }, 240_000);
});
