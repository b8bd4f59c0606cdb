/**
 * A whole replacement on a real cluster, from the compiled binary: what a GPU fault in an agent's
 * kernel log does to the Node, its pods and its successor, and what the API server's own audit log
 * says the product asked for.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { injectXid } from "../../fixture/cloud/inject.ts";
import type { NodeView } from "../../../schema/api.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { buildStale, NAVARCH, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "./binary.ts";
import { type AuditEntry, type Cluster, openCluster } from "./cluster.ts";
import { Joined, type KubeObject } from "./joined.ts";

const missing = await whyNoCluster();

let cluster: Cluster;
const all: Joined[] = [];

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  cluster = await openCluster();
}, 600_000);
afterAll(async () => {
  for (const one of all) await one.close();
  if (missing === null) await cluster.close();
}, 120_000);

async function pods(name: string): Promise<KubeObject[]> {
  const path = `/api/v1/pods?fieldSelector=${encodeURIComponent(`spec.nodeName=${name}`)}`;
  return ((await (await cluster.request(path)).json()) as { items: KubeObject[] }).items;
}

const WORK = (replicas: number): unknown => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "work", namespace: "default" },
  spec: {
    replicas,
    selector: { matchLabels: { app: "work" } },
    template: {
      metadata: { labels: { app: "work" } },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [{ name: "c", image: "i", resources: { limits: { "nvidia.com/gpu": "1" } } }],
      },
    },
  },
});

const BUDGET = {
  apiVersion: "policy/v1",
  kind: "PodDisruptionBudget",
  metadata: { name: "work", namespace: "default" },
  spec: { maxUnavailable: 1, selector: { matchLabels: { app: "work" } } },
};

describe.skipIf(missing !== null)("a replacement on a real cluster", () => {
  test("XID 79: the Node is marked, emptied within its budget, removed after its machine", async () => {
    const joined = new Joined(cluster, { size: 3 });
    all.push(joined);
    const nodes = await joined.start(3);
    for (const body of [WORK(12), BUDGET]) {
      const done = await cluster.kubectlWith(
        { user: "admin", stdin: JSON.stringify(body) },
        "apply",
        "-f",
        "-",
      );
      expect(done.err).toBe("");
    }
    await until("all pods run", 60_000, async () => {
      const told = await cluster.kubectl("get", "deploy", "work", "-o", "json");
      const { status } = JSON.parse(told.out) as { status?: { readyReplicas?: number } };
      return status?.readyReplicas === 12 ? true : null;
    });
    const [sick] = nodes;
    if (sick === undefined) throw new Error("no node");
    const name = sick.kubernetes_node ?? "";
    expect((await pods(name)).length).toBeGreaterThan(0);
    injectXid(joined.plane.cloudDir, (sick.instance_id ?? "") as InstanceId, {
      xid: 79,
      message: "Xid 79 for a test",
    });
    await until("replaced", 120_000, async () => {
      const events = await joined.plane.events(`&node=${sick.node_id}`);
      return events.some(({ kind }) => kind === "node.replaced") ? true : null;
    });
    const gone = await until("its Node is removed", 120_000, async () =>
      (await joined.node(name)) === null ? Date.now() : null,
    );
    expect(gone).toBeGreaterThan(0);
    judgeAudit(joined.asked(), name);
    const shown = (await joined.plane.get<NodeView>(`/nodes/${sick.node_id}`)).kubernetes;
    expect(shown?.absent_since ?? "").not.toBe("");
  }, 400_000);

  test("what people see: get, doctor and the Node itself", async () => {
    const [joined] = all;
    if (joined === undefined) throw new Error("no plane");
    const [node] = await joined.plane.serving();
    const server = `--server=${joined.plane.url}`;
    const env = { ...process.env, NAVARCH_AUTH_TOKEN: joined.plane.adminToken };
    const run = (...args: string[]): string =>
      Bun.spawnSync([NAVARCH, ...args, server], { env }).stdout.toString();
    expect(run("get", node?.node_id ?? "")).toContain(`Node ${node?.kubernetes_node}, schedulable`);
    const doctor = run("doctor", "kubernetes");
    expect(doctor).toContain("all that are needed are granted");
    const object = await joined.node(node?.kubernetes_node ?? "");
    const healthy = object?.status?.conditions?.find(({ type }) => type === "GPUHealthy");
    expect(healthy?.status).toBe("True");
    expect(object?.metadata.labels?.["navarch.dev/pool"]).toBe("gpus");
  }, 60_000);
});

/** Nothing refused, nothing outside the shipped role, and nothing in the wrong order. */
function judgeAudit(entries: AuditEntry[], name: string): void {
  const refused = entries.filter(({ responseStatus }) => responseStatus?.code === 403);
  expect(refused.map(({ requestURI }) => requestURI)).toEqual([]);
  // Where its budget refused one, it was looked at for that one's turn.
  const isTight = entries.some(
    ({ objectRef, responseStatus }) =>
      objectRef?.subresource === "eviction" && responseStatus?.code === 429,
  );
  const budgets = entries.filter(({ objectRef }) => objectRef?.resource === "poddisruptionbudgets");
  if (isTight) expect(budgets.map(({ verb }) => verb)).toContain("list");
  const about = entries.filter(({ objectRef }) => objectRef?.name === name);
  const kinds = about.map(({ verb, objectRef }) => `${verb} ${objectRef?.resource}`);
  expect(kinds.at(-1)).toBe("delete nodes");
  const firstEvict = entries.findIndex(({ objectRef }) => objectRef?.subresource === "eviction");
  const mark = entries.findIndex(
    ({ verb, objectRef, requestURI }) =>
      verb === "patch" && objectRef?.name === name && requestURI.includes("navarch-cordon"),
  );
  expect(mark).toBeGreaterThanOrEqual(0);
  expect(firstEvict).toBeGreaterThan(mark);
}
