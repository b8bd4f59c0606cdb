/**
 * When a replacement counts, on a real API server and from the compiled binary: not before its
 * kubelet says Ready and its device plugin offers the GPUs that its agent counts. Until then the
 * sick node that it takes the place of keeps its pods.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { injectXid } from "../../fixture/cloud/inject.ts";
import type { NodeView } from "../../../schema/api.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { buildStale, Plane, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "./binary.ts";
import { type Cluster, openCluster } from "./cluster.ts";
import { isProduct, formatConfig } from "./joined.ts";
import { changesOf, navarch } from "./navarch.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: readiness on a real API server: ${missing}`);

let cluster: Cluster;
let plane: Plane;

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  cluster = await openCluster();
  const pool = "    replacement: surge\n";
  plane = new Plane(formatConfig(cluster.kubeconfig("product"), { size: 1, pool }));
  await plane.start();
}, 600_000);
afterAll(async () => {
  if (missing !== null) return;
  expect(await plane.destroy()).toEqual([]);
  expect(await cluster.close()).toEqual([]);
}, 120_000);

type Said = { ready: boolean; gpus: number | null };

function statusOf({ ready, gpus }: Said): object {
  const reason = ready ? "KubeletReady" : "KubeletNotReady";
  const lastHeartbeatTime = new Date().toISOString().replace(/\.\d+/, "");
  const status = ready ? "True" : "False";
  const condition = { type: "Ready", status, reason, lastHeartbeatTime };
  const room = {
    cpu: "96",
    pods: "110",
    ...(gpus === null ? {} : { "nvidia.com/gpu": `${gpus}` }),
  };
  return { conditions: [condition], capacity: room, allocatable: room };
}

/** With it no work comes before the node serves. */
const UNVERIFIED = "navarch.dev/unverified";

async function isTainted(node: NodeView): Promise<boolean> {
  type Seen = { spec: { taints?: { key: string }[] } };
  const { spec } = await cluster.json<Seen>(`/api/v1/nodes/${nameOf(node)}`);
  return (spec.taints ?? []).some(({ key }) => key === UNVERIFIED);
}

const nameOf = ({ instance_id }: NodeView): string => `gpu-${instance_id}`;

/** What a kubelet does when it starts. */
async function register(node: NodeView, said: Said): Promise<void> {
  await cluster.json("/api/v1/nodes", {
    method: "POST",
    body: {
      metadata: { name: nameOf(node) },
      spec: {
        providerID: `navarch://fake/local/${node.instance_id}`,
        // As a kubelet with `--register-with-taints` does.
        taints: [{ key: UNVERIFIED, effect: "NoExecute" }],
      },
      status: statusOf(said),
    },
  });
}

async function say(node: NodeView, said: Said): Promise<void> {
  await cluster.json(`/api/v1/nodes/${nameOf(node)}/status`, {
    method: "PATCH",
    contentType: "application/strategic-merge-patch+json",
    body: { status: statusOf(said) },
  });
}

const view = (node: NodeView): Promise<NodeView> => plane.get<NodeView>(`/nodes/${node.node_id}`);

/** What a person reads of why nothing goes on. */
const why = async (node: NodeView): Promise<string> =>
  (await navarch(plane, "explain", node.node_id)).out;

/** How often the product has written on the sick node and its pods. */
const acts = (node: NodeView): string[] =>
  changesOf(
    cluster.audit().filter((one) => isProduct(one.user.username)),
    nameOf(node),
  );

describe.skipIf(missing !== null)("surge in a cluster", () => {
  test("ends the sick node once its successor's Node is Ready and offers its GPUs", async () => {
    const [sick] = await plane.waitServing(1);
    if (sick === undefined) throw new Error("no node");
    await register(sick, { ready: true, gpus: 8 });
    await until("it is matched", 10_000, async () =>
      (await view(sick)).kubernetes_node === null ? null : true,
    );
    injectXid(plane.cloudDir, sick.instance_id as InstanceId, { xid: 79, message: "for a test" });
    const fresh = await until("its successor's agent", 30_000, async () => {
      const all = await plane.nodes();
      return all.find((one) => one.node_id !== sick.node_id && one.agent_version !== null) ?? null;
    });
    await until("it waits for its Node", 10_000, async () =>
      (await why(fresh)).includes("its Node is not in the cluster") ? true : null,
    );
    await register(fresh, { ready: false, gpus: null });
    await until("it waits for its kubelet", 10_000, async () =>
      (await why(fresh)).includes("is False (KubeletNotReady)") ? true : null,
    );
    await say(fresh, { ready: true, gpus: null });
    await until("it waits for its device plugin", 10_000, async () =>
      (await why(fresh)).includes("does not offer its 8 GPUs") ? true : null,
    );
    await say(fresh, { ready: true, gpus: 7 });
    await until("it waits for its eighth GPU", 10_000, async () =>
      (await why(fresh)).includes("offers 7 of its 8 GPUs") ? true : null,
    );
    expect((await view(fresh)).phase).toBe("verifying");
    expect(await isTainted(fresh)).toBe(true);
    expect((await view(sick)).phase).toBe("replacing");
    expect(acts(sick).filter((one) => one.includes("delete"))).toEqual([]);
    await say(fresh, { ready: true, gpus: 8 });
    await until("it serves", 10_000, async () =>
      (await view(fresh)).phase === "serving" ? true : null,
    );
    await until("work may come", 10_000, async () => ((await isTainted(fresh)) ? null : true));
    await until("the sick one is gone", 60_000, async () =>
      plane.reality().live.length === 1 ? true : null,
    );
    expect(plane.reality().live.map(({ id }) => id as string)).toEqual([fresh.instance_id ?? ""]);
  }, 180_000);

  test("tells of a Node that is NotReady beside a live agent, and of one that is Ready again", async () => {
    const [node] = await plane.waitServing(1);
    if (node === undefined) throw new Error("no node");
    await say(node, { ready: false, gpus: 8 });
    const sick = await until("it is degraded", 120_000, async () => {
      const now = await view(node);
      return now.verdict === "degraded" ? now : null;
    });
    // Nothing is repaired for it unless `kubernetes.not_ready_after` says so.
    expect([sick.phase, plane.reality().live.length]).toEqual(["serving", 1]);
    expect(await why(node)).toContain("is not Ready in Kubernetes");
    const [event] = await plane.events("&kind=kube.not_ready");
    expect(event).toMatchObject({ node_id: node.node_id });
    const status = await navarch(plane, "pool", "status", "gpus");
    expect(status.out).toContain("1 node is not Ready in Kubernetes beside a live agent");
    const metrics = await (await plane.fetch("/metrics")).text();
    expect(metrics).toMatch(/^navarch_kube_not_ready_nodes\{pool="gpus"\} 1$/m);
    const doctor = await navarch(plane, "doctor", "kubernetes");
    expect(doctor.out).toContain(nameOf(node));
    await say(node, { ready: true, gpus: 8 });
    await until("it is healthy again", 30_000, async () => {
      await say(node, { ready: true, gpus: 8 });
      return (await view(node)).verdict === "healthy" ? true : null;
    });
    expect(await plane.events("&kind=kube.ready")).toHaveLength(1);
  }, 180_000);

  test("names another program that deletes the Node, and a pod that asks to stay", async () => {
    const [node] = await plane.waitServing(1);
    if (node === undefined) throw new Error("no node");
    const taint = "ToBeDeletedByClusterAutoscaler";
    const taints = { spec: { taints: [{ key: taint, effect: "NoSchedule" }] } };
    const patch = { method: "PATCH", contentType: "application/strategic-merge-patch+json" };
    await cluster.json(`/api/v1/nodes/${nameOf(node)}`, { ...patch, body: taints });
    await until("the other program is named", 20_000, async () =>
      (await why(node)).includes(`cluster-autoscaler deletes it (taint ${taint})`) ? true : null,
    );
    const asks = "karpenter.sh/do-not-disrupt";
    await cluster.addPods(1, {
      name: () => "stays",
      node: () => nameOf(node),
      annotations: { [asks]: "true" },
    });
    expect((await navarch(plane, "drain", node.node_id, "--reason", "test")).code).toBe(0);
    await until("the drain waits for it", 30_000, async () =>
      (await why(node)).includes(`${asks}: true`) ? true : null,
    );
    await Bun.sleep(3_000);
    const pod = `/api/v1/namespaces/default/pods/stays`;
    const seen = await cluster.json<{ metadata: { deletionTimestamp?: string } }>(pod);
    expect(seen.metadata.deletionTimestamp).toBeUndefined();
    await cluster.json(`${pod}?gracePeriodSeconds=0`, { method: "DELETE" });
    await until("the drain ends", 30_000, async () =>
      (await why(node)).includes("drained as ordered") ? true : null,
    );
  }, 120_000);
});
