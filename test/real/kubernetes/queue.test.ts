/**
 * A pool whose size is its queue, on a real cluster and from the compiled binary: pods that wait
 * become machines, machines whose work is done go, and one that works is left alone, whatever the
 * queue says. An API server that is silent is no empty queue.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ScalingView } from "../../../reconciler/http/view/scaling.ts";
import type { NodeView, PoolStatusView } from "../../../schema/api.ts";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "./binary.ts";
import { type Cluster, openCluster } from "./cluster.ts";
import { Joined, type KubeObject } from "./joined.ts";
import { POD_ACT } from "./kwok.ts";
import { changesOf, navarch, navarchJson, podsOf, podsOn } from "./navarch.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: a queue on a real API server: ${missing}`);

const PODS = 20;
const JOBS_PER_NODE = 8;
/** Twenty at eight a node. */
const NODES = 3;

/** `wide` counts GPUs: its pods ask for four each. */
const POOLS = `
    cooldown: 1s
    autoscaler: { type: queue, jobs_per_node: ${JOBS_PER_NODE}, scale_down_after: 0s }
  - name: wide
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 0, max_nodes: 4 }
    cooldown: 1s
    autoscaler: { type: queue, jobs_per_node: 8, count: gpus, scale_down_after: 0s }
`;

let cluster: Cluster;
let joined: Joined;

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  cluster = await openCluster();
  joined = new Joined(cluster, { size: 1, max: 5, pool: POOLS });
  await joined.start(1);
}, 300_000);
afterAll(async () => {
  if (missing !== null) return;
  expect(await joined.close()).toEqual([]);
  expect(await cluster.close()).toEqual([]);
}, 60_000);

const statusOf = (pool: string): Promise<PoolStatusView & ScalingView> =>
  navarchJson<PoolStatusView & ScalingView>(joined.plane, "pool", "status", pool);

async function servingIn(pool: string): Promise<NodeView[]> {
  return (await joined.plane.serving()).filter((node) => node.pool === pool);
}

/** Pods that run until they are told to complete, on machines of their own pool. */
function work(pool: string, count: number, gpus: number, name = pool): unknown {
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name, namespace: "default" },
    spec: {
      completions: count,
      parallelism: count,
      template: {
        metadata: { labels: { "navarch.dev/pool": pool } },
        spec: {
          restartPolicy: "Never",
          nodeSelector: { "navarch.dev/pool": pool },
          containers: [
            { name: "c", image: "i", resources: { limits: { "nvidia.com/gpu": String(gpus) } } },
          ],
        },
      },
    },
  };
}

async function submit(body: unknown): Promise<void> {
  const stdin = JSON.stringify(body);
  const done = await cluster.kubectlWith({ user: "human", stdin }, "apply", "-f", "-");
  expect(done).toMatchObject({ code: 0, err: "" });
}

async function running(pool: string): Promise<KubeObject[]> {
  return (await podsOf(cluster, "status.phase=Running")).filter(
    ({ metadata }) => metadata.labels?.["navarch.dev/pool"] === pool,
  );
}

async function complete(pods: readonly KubeObject[]): Promise<void> {
  const names = pods.map(({ metadata }) => metadata.name);
  const done = await cluster.kubectl("annotate", "pod", ...names, `${POD_ACT.completes}=true`);
  expect(done.err).toBe("");
}

async function settled(pool: string, nodes: number, limitMs = 60_000): Promise<NodeView[]> {
  return until(`pool ${pool} has ${nodes} nodes`, limitMs, async () => {
    const { desired, total_nodes } = await statusOf(pool);
    if (desired !== nodes || total_nodes !== nodes) return null;
    const serving = await servingIn(pool);
    return serving.length === nodes ? serving : null;
  });
}

describe.skipIf(missing !== null)("a pool of type queue on a real cluster", () => {
  test("pods that wait become nodes, by jobs_per_node, and run there", async () => {
    await submit(work("gpus", PODS, 1));
    const nodes = await settled("gpus", NODES);
    const pods = await until("all pods run", 60_000, async () => {
      const found = await running("gpus");
      return found.length === PODS ? found : null;
    });
    const names = nodes.map((node) => node.kubernetes_node);
    for (const { spec } of pods) expect(names).toContain(spec.nodeName ?? "");
    await until("the queue is told", 10_000, async () =>
      (await statusOf("gpus")).queue_depth === PODS ? true : null,
    );
    const { pending_jobs, conditions } = await statusOf("gpus");
    expect({ pending_jobs, conditions }).toEqual({ pending_jobs: 0, conditions: [] });
    await navarch(joined.plane, "pool", "status", "gpus");
    await navarch(joined.plane, "explain", "pool", "gpus");
  }, 120_000);

  test("what works is left alone: a small queue on two nodes keeps two", async () => {
    const pods = await running("gpus");
    const busy = await pick(pods);
    const kept = new Set(busy.map(({ metadata }) => metadata.name));
    await complete(pods.filter(({ metadata }) => !kept.has(metadata.name)));
    const left = await settled("gpus", 2);
    const homes = busy.map(({ spec }) => spec.nodeName ?? "").sort();
    expect(left.map((node) => node.kubernetes_node ?? "").sort()).toEqual(homes);
    await navarch(joined.plane, "pool", "status", "gpus");
    await navarch(joined.plane, "explain", "pool", "gpus");
    const [last, first] = busy;
    if (first === undefined || last === undefined) throw new Error("no pods");
    await complete([first]);
    const [only] = await settled("gpus", 1);
    expect(only?.kubernetes_node).toBe(last.spec.nodeName ?? "");
    // What was asked to leave had finished, and was on nodes that nobody worked on any more.
    const asked = joined.asked();
    for (const { metadata, spec } of pods) {
      if (spec.nodeName !== last.spec.nodeName) continue;
      expect(changesOf(asked, metadata.name)).toEqual([]);
    }
    expect(changesOf(asked, last.spec.nodeName ?? "").filter(isMark)).toEqual([]);
    const [pod] = await running("gpus");
    expect(pod?.metadata.uid).toBe(last.metadata.uid);
  }, 120_000);

  test("count: gpus counts what pods ask for", async () => {
    await submit(work("wide", 3, 4));
    await settled("wide", 2);
    await until("they run", 60_000, async () =>
      (await running("wide")).length === 3 ? true : null,
    );
    const { queue_depth, queue } = await statusOf("wide");
    expect({ queue_depth, gpus: queue?.gpu_depth }).toEqual({ queue_depth: 3, gpus: 12 });
    await complete(await running("wide"));
    await settled("wide", 0);
  }, 120_000);

  test("a silent API server is no empty queue, after three evaluations either", async () => {
    await submit(work("wide", 2, 8, "wide-again"));
    await settled("wide", 2);
    await until("they run", 60_000, async () =>
      (await running("wide")).length === 2 ? true : null,
    );
    await cluster.stopApiserver();
    const told = await until("the condition is told", 60_000, async () => {
      const { conditions } = await statusOf("wide");
      return conditions.some((one) => one.includes("queue")) ? conditions : null;
    });
    expect(told.join()).toContain("unknown");
    await navarch(joined.plane, "pool", "status", "wide");
    await navarch(joined.plane, "explain", "pool", "wide");
    // Four more evaluations on nothing.
    await Bun.sleep(4_000);
    const { desired, total_nodes } = await statusOf("wide");
    expect({ desired, total_nodes }).toEqual({ desired: 2, total_nodes: 2 });
    await cluster.startApiserver();
    await until("the condition is gone", 60_000, async () =>
      (await statusOf("wide")).conditions.length === 0 ? true : null,
    );
    expect((await servingIn("wide")).length).toBe(2);
    await complete(await running("wide"));
    await settled("wide", 0);
  }, 180_000);
});

const isMark = (change: string): boolean => change.includes("navarch-cordon");

/** One pod on each of two nodes, the younger node's first: it would be given up first. */
async function pick(pods: readonly KubeObject[]): Promise<KubeObject[]> {
  const nodes = (await servingIn("gpus")).sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
  const [young, old] = [nodes.at(0), nodes.at(-1)].map((node) =>
    pods.find(({ spec }) => spec.nodeName === node?.kubernetes_node),
  );
  if (young === undefined || old === undefined) throw new Error("no pod on it");
  expect((await podsOn(cluster, young.spec.nodeName ?? "")).length).toBeGreaterThan(0);
  return [young, old];
}
