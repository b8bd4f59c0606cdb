/**
 * The pods of M4: many to each failing node, owned by ReplicaSets that either start them again
 * elsewhere, under disruption budgets, or are only names because nobody runs their controller.
 */
import type { World } from "./world.ts";
import { GROUP } from "./world.ts";
import { until } from "../../fixture/plane/plane.ts";

export type PodsWanted = {
  /** Names of the Node objects. */
  nodes: readonly string[];
  perNode: number;
  graceS: number;
  groups: number;
  /** `true`: a controller starts each again, and half of each group must stay. */
  budgets: boolean;
};

export type PodsMade = { uids: Set<string>; groupSize: number };

type Named = { metadata: { name: string; uid: string } };

/** Creates them bound to their nodes and waits until all of them run. */
export async function addWork(world: World, wanted: PodsWanted): Promise<PodsMade> {
  const { nodes, perNode, graceS, groups, budgets } = wanted;
  const { cluster } = world;
  const count = nodes.length * perNode;
  const groupSize = count / groups;
  if (!Number.isInteger(groupSize)) throw new Error(`${count} pods do not make ${groups} groups`);
  // Their controller must find all of them, or it starts some of its own.
  if (budgets) await cluster.stopPart("controllers");
  const owners: string[] = [];
  for (let g = 0; g < groups; g++) owners.push(await addOwner(world, g, groupSize, graceS));
  const made = await cluster.addPods(count, {
    name: (i) => `work-${i}`,
    node: (i) => nodes[i % nodes.length] ?? null,
    graceS,
    metadata: (i) => {
      const g = i % groups;
      const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: `group-${g}` };
      return {
        labels: { [GROUP]: `group-${g}` },
        ownerReferences: [{ ...owner, uid: owners[g], controller: true }],
      };
    },
  });
  await waitRunning(world);
  if (budgets) {
    for (let g = 0; g < groups; g++) await addBudget(world, g);
    cluster.startPart("controllers");
    await waitBudgets(world, groups, groupSize);
  }
  return { uids: new Set(made.map(({ metadata }) => metadata.uid)), groupSize };
}

async function addOwner(world: World, g: number, replicas: number, graceS: number) {
  const labels = { [GROUP]: `group-${g}` };
  const containers = [{ name: "main", image: "example.test/nothing" }];
  const owner = await world.cluster.json<Named>("/apis/apps/v1/namespaces/default/replicasets", {
    body: {
      metadata: { name: `group-${g}` },
      spec: {
        replicas,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: { terminationGracePeriodSeconds: graceS, containers },
        },
      },
    },
  });
  return owner.metadata.uid;
}

async function addBudget(world: World, g: number): Promise<void> {
  const path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
  await world.cluster.json(path, {
    body: {
      metadata: { name: `group-${g}` },
      spec: { minAvailable: "50%", selector: { matchLabels: { [GROUP]: `group-${g}` } } },
    },
  });
}

/** One object is enough to know that not all run. */
async function waitRunning(world: World): Promise<void> {
  await until("all pods run", 600_000, async () => {
    const path = "/api/v1/pods?limit=1&fieldSelector=status.phase%21%3DRunning";
    const { items } = await world.cluster.json<{ items: unknown[] | null }>(path);
    await Bun.sleep(500);
    return (items ?? []).length === 0 ? true : null;
  });
}

type Budgets = {
  items: { status?: { currentHealthy?: number; disruptionsAllowed?: number } }[];
};

async function waitBudgets(world: World, groups: number, groupSize: number): Promise<void> {
  await until("the disruption controller has counted", 120_000, async () => {
    const { items } = await world.cluster.json<Budgets>("/apis/policy/v1/poddisruptionbudgets");
    const ready = items.filter(({ status }) => status?.currentHealthy === groupSize);
    return ready.length === groups ? true : null;
  });
}

/** Those of the pods that exist, as anybody would read it, without their whole objects. */
export async function countPresent(world: World, uids: ReadonlySet<string>): Promise<number> {
  const accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
  const { items } = await world.cluster.json<{ items: Named[] | null }>("/api/v1/pods", {
    headers: { Accept: accept },
  });
  // The server writes `null` for a list without entries.
  return (items ?? []).filter(({ metadata }) => uids.has(metadata.uid)).length;
}
