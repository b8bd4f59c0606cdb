/**
 * C78, C79: Pending pods grow the pool whose labels they select and whose taints they tolerate, and
 * no other one; a pool that cannot grow says why. A compiled control plane on a real API server
 * with scheduler and virtual nodes.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { StatusView } from "../../../reconciler/http/view/pool.ts";
import { until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { KwokGround } from "../workflow/kwok-ground.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: growth on Pending pods: ${missing}`);

test("a Kubernetes API server is here to grow pools on Pending pods", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

setDefaultTimeout(180_000);

const poolYaml = (name: string): string => `  - name: ${name}
    provider: kwok
    instance_type: dgxh100.80g
    labels: { node-type: ${name} }
    taints: ["node-type=${name}:NoSchedule"]
    scaling:
      min_nodes: 0
      max_nodes: 1
      cooldown_period: 0s
      autoscaler: { type: queue, count: gpus, jobs_per_node: 8 }
`;

let ground: KwokGround;

beforeAll(async () => {
  if (missing !== null) return;
  const config = poolYaml("gpu-optimized") + poolYaml("gpu-high-end");
  ground = await KwokGround.open(0, { config, server: ", autoscale_interval: 1s" });
  await ground.plane.start(60_000);
}, 300_000);

afterAll(async () => {
  if (missing === null) expect(await ground.close()).toEqual([]);
}, 60_000);

async function create(name: string, type: string): Promise<void> {
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default" },
    spec: {
      nodeSelector: { "node-type": type },
      tolerations: [{ key: "node-type", value: type, effect: "NoSchedule" }],
      containers: [{ name: "c", image: "x", resources: { limits: { "nvidia.com/gpu": "8" } } }],
    },
  };
  const how = { user: "admin" as const, stdin: JSON.stringify(pod) };
  const { code, err } = await ground.cluster.kubectlWith(how, "create", "-f", "-");
  expect([code, err]).toEqual([0, ""]);
}

/** Serving nodes by pool. */
async function sizes(): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const { pool } of await ground.plane.nodes()) {
    found[pool ?? ""] = (found[pool ?? ""] ?? 0) + 1;
  }
  return found;
}

const hostOf = async (name: string): Promise<string | null> => {
  const path = `/api/v1/namespaces/default/pods/${name}`;
  const { spec } = await ground.cluster.json<{ spec: { nodeName?: string } }>(path);
  return spec.nodeName ?? null;
};

test.skipIf(missing !== null)("C78: a Pending pod grows its own pool alone", async () => {
  await create("first", "gpu-optimized");
  const first = await until("the first pod is bound", 90_000, () => hostOf("first"));
  expect(await sizes()).toEqual({ "gpu-optimized": 1 });
  await create("second", "gpu-high-end");
  const second = await until("the second pod is bound", 90_000, () => hostOf("second"));
  expect(second).not.toBe(first);
  expect(await sizes()).toEqual({ "gpu-optimized": 1, "gpu-high-end": 1 });
});

test.skipIf(missing !== null)("C79: a pool that does not grow says why, by itself", async () => {
  await create("third", "gpu-high-end");
  const told = async (pool: string): Promise<string[]> =>
    (await ground.plane.get<StatusView>(`/pools/${pool}/status`)).conditions;
  const full = "autoscaler: 1 job waits and the pool has its max_nodes, 1: raise it to grow";
  await until("the pool tells of its bound", 30_000, async () => {
    return (await told("gpu-high-end")).includes(full) ? true : null;
  });
  expect(await told("gpu-optimized")).toEqual([]);
  expect(await sizes()).toEqual({ "gpu-optimized": 1, "gpu-high-end": 1 });
});
