/**
 * The ground of a cordon story on a real API server: the product through its own client and its own
 * account, the person with the requests that `kubectl` sends, under `kubectl`'s user agent.
 */
import type { Clock } from "../../../reconciler/core/clock.ts";
import { openClient } from "../../../reconciler/kubernetes/client.ts";
import { openTransport } from "../../../reconciler/kubernetes/connect.ts";
import type { KubeApi } from "../../../reconciler/kubernetes/api.ts";
import type { KubeNode } from "../../../reconciler/core/kubernetes/object.ts";
import { readNode } from "../../../reconciler/kubernetes/read-node.ts";
import type { Cluster } from "./cluster.ts";
import { seeded } from "../../../simulator/engine/random.ts";
import { newTally, playStory, toolRequest } from "./cordon-story.ts";
import type { Ground, Tally } from "./cordon-story.ts";

export const CLOCK: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after: (ms, work) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

/** The product's client with the product's account. */
export async function openProduct(cluster: Cluster): Promise<KubeApi> {
  const kubeconfig = cluster.kubeconfig("product");
  const opened = await openTransport({ enabled: true, kubeconfig, context: null }, {});
  if (opened.kind !== "ok") throw new Error(`no way to the cluster: ${opened.kind}`);
  const ports = { clock: CLOCK, count: () => undefined, userAgent: "navarch/test" };
  return openClient(opened.transport, ports);
}

/** What `kubectl` 1.37 calls itself; the server takes the manager's name off it. */
const KUBECTL = { "User-Agent": "kubectl/v1.37.1 (linux/amd64) kubernetes/test" };
/** A writer that lost a race reads and writes again, as `kubectl` and its like do. */
const TRIES = 20;

export async function openGround(cluster: Cluster, api: KubeApi, name: string): Promise<Ground> {
  const path = `/api/v1/nodes/${name}`;
  const create = async (): Promise<void> => {
    await cluster.addNodes(1, { name: () => name });
  };
  const read = async (): Promise<KubeNode> => {
    const node = readNode(await cluster.json(path));
    if (node === null) throw new Error(`${name} is no Node`);
    return node;
  };
  const patch = async (body: unknown): Promise<void> => {
    const contentType = "application/strategic-merge-patch+json";
    await cluster.json(path, { method: "PATCH", as: "human", contentType, headers: KUBECTL, body });
  };
  const wipe = async (): Promise<void> => {
    for (let i = 0; i < TRIES; i++) {
      const node = await cluster.json<{ metadata: object }>(path);
      const body = { ...node, metadata: { ...node.metadata, managedFields: [{}] } };
      const answer = await cluster.request(path, { method: "PUT", body });
      if (answer.ok) return;
    }
    throw new Error(`${name} could not be put`);
  };
  await create();
  return {
    name,
    api,
    clock: CLOCK,
    read,
    person: {
      cordon: async () => {
        if (!(await read()).unschedulable) await patch({ spec: { unschedulable: true } });
      },
      uncordon: async () => {
        if ((await read()).unschedulable) await patch({ spec: { unschedulable: null } });
      },
      annotate: (key, value) => patch({ metadata: { annotations: { [key]: value } } }),
      recreate: async () => {
        await cluster.json(path, { method: "DELETE" });
        await create();
      },
      wipe,
      apply: async (isCordoned) => {
        const { query, body, contentType } = toolRequest(name, isCordoned);
        await cluster.json(`${path}?${new URLSearchParams(query)}`, {
          method: "PATCH",
          contentType: contentType ?? "",
          body,
        });
      },
    },
  };
}

/** Plays `count` stories, some at once, each on a Node of its own that is deleted afterwards. */
export async function playMany(
  cluster: Cluster,
  { count, seed, atOnce, told }: PlayOptions,
): Promise<Tally> {
  const api = await openProduct(cluster);
  const tally = newTally();
  let next = 0;
  const player = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) {
      const name = `story-${i}`;
      const ground = await openGround(cluster, api, name);
      await playStory(ground, seeded(seed + i), tally);
      await cluster.json(`/api/v1/nodes/${name}`, { method: "DELETE" });
      told?.(tally);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, player));
  api.close();
  return tally;
}

export type PlayOptions = {
  count: number;
  seed: number;
  atOnce: number;
  /** After each story. */
  told?: (tally: Tally) => void;
};
