/**
 * The collections that the product keeps a copy of: nodes and pods of the whole cluster, and its
 * disruption budgets while somebody waits for one.
 */
import type { Clock, Log } from "../core/clock.ts";
import type { KubeApi } from "./api.ts";
import type { KubeNode, KubePod } from "../core/kubernetes/object.ts";
import { type KubeBudget, readBudget } from "./read-budget.ts";
import { readNode } from "./read-node.ts";
import { readPod } from "./read-pod.ts";
import { Reflector } from "./reflector.ts";

type Ports = { api: KubeApi; clock: Clock; random: () => number; log: Log };
type Changed<T> = (before: T | null, after: T | null) => void;

export function reflectNodes(
  { api, clock, random, log }: Ports,
  changed: Changed<KubeNode>,
): Reflector<KubeNode> {
  return new Reflector<KubeNode>({
    ...{ api, clock, random, log },
    query: {},
    path: "/api/v1/nodes",
    read: readNode,
    keyOf: ({ name }) => name,
    versionOf: ({ resourceVersion }) => resourceVersion,
    uidOf: ({ uid }) => uid,
    changed: (_key, before, after) => changed(before, after),
  });
}

export function reflectPods(
  { api, clock, random, log }: Ports,
  changed: Changed<KubePod>,
): Reflector<KubePod> {
  return new Reflector<KubePod>({
    ...{ api, clock, random, log },
    query: {},
    path: "/api/v1/pods",
    read: readPod,
    keyOf: ({ namespace, name }) => `${namespace}/${name}`,
    versionOf: ({ resourceVersion }) => resourceVersion,
    uidOf: ({ uid }) => uid,
    changed: (_key, before, after) => changed(before, after),
  });
}

export function reflectBudgets(
  { api, clock, random, log }: Ports,
  changed: Changed<KubeBudget>,
): Reflector<KubeBudget> {
  return new Reflector<KubeBudget>({
    ...{ api, clock, random, log },
    query: {},
    path: "/apis/policy/v1/poddisruptionbudgets",
    read: readBudget,
    keyOf: ({ namespace, name }) => `${namespace}/${name}`,
    versionOf: ({ resourceVersion }) => resourceVersion,
    uidOf: ({ uid }) => uid,
    changed: (_key, before, after) => changed(before, after),
  });
}
