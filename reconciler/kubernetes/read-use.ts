/**
 * Parses what containers of a pod ask for, and what a Node has, for the gauges `node_resource_*`.
 * Counts `spec.containers` of Running pods only (docs/reference/workflows.md#node-resources).
 */
import type {
  V1Container,
  V1Node,
  V1NodeStatus,
  V1ObjectMeta,
  V1Pod,
  V1PodSpec,
  V1PodStatus,
  V1ResourceRequirements,
} from "@kubernetes/client-node";
import type { ResourceUse } from "../core/kubernetes/node-resource.ts";
import { parseQuantity } from "../core/kubernetes/quantity.ts";
import type { Identity } from "./read-field.ts";
import { readIdentity, readList, readObject, readText, readTextMap } from "./read-field.ts";

/** In the order of `resources`; `null` if the pod does not run on a Node. */
function readUses(json: unknown, resources: readonly string[]): ResourceUse[] | null {
  const { spec: rawSpec, status: rawStatus } = readObject<V1Pod>(json);
  const spec = readObject<V1PodSpec>(rawSpec);
  const { phase } = readObject<V1PodStatus>(rawStatus);
  if (phase !== "Running" || readText(spec.nodeName) === null) return null;
  const sums = resources.map(() => ({ requests: 0n, limits: 0n }));
  for (const raw of readList(spec.containers)) {
    const asked = readObject<V1Container>(raw).resources;
    const { requests, limits } = readObject<V1ResourceRequirements>(asked);
    for (const [index, name] of resources.entries()) {
      const sum = sums[index];
      if (sum === undefined) continue;
      sum.requests += amountOf(requests, name);
      sum.limits += amountOf(limits, name);
    }
  }
  return sums;
}

/** Quantities of `status.allocatable` in the order of `resources`. */
function readAllocatable(json: unknown, resources: readonly string[]): (string | null)[] {
  const { allocatable } = readObject<V1NodeStatus>(readObject<V1Node>(json).status);
  return resources.map((name) => readText(given(allocatable, name)));
}

const amountOf = (amounts: unknown, name: string): bigint =>
  parseQuantity(given(amounts, name)) ?? 0n;

/** `hasOwn`, because the name is untrusted and objects inherit members. */
function given(amounts: unknown, name: string): unknown {
  const all = readObject(amounts);
  return Object.hasOwn(all, name) ? all[name] : null;
}

export type UsedNode = Identity & {
  labels: Record<string, string>;
  allocatable: (string | null)[];
};

/** A Node with these labels only. */
export function readUsedNode(
  json: unknown,
  resources: readonly string[],
  labels: ReadonlySet<string>,
): UsedNode | null {
  const metadata = readObject<V1ObjectMeta>(readObject<V1Node>(json).metadata);
  const identity = readIdentity(metadata);
  if (identity === null) return null;
  const kept = readTextMap(metadata.labels, (key) => labels.has(key));
  return { ...identity, labels: kept, allocatable: readAllocatable(json, resources) };
}

export type UsingPod = Identity & {
  namespace: string;
  /** Empty: it does not run on one. */
  node: string;
  uses: ResourceUse[] | null;
};

export function readUsingPod(json: unknown, resources: readonly string[]): UsingPod | null {
  const object = readObject<V1Pod>(json);
  const metadata = readObject<V1ObjectMeta>(object.metadata);
  const identity = readIdentity(metadata);
  const namespace = readText(metadata.namespace);
  if (identity === null || namespace === null) return null;
  const uses = readUses(json, resources);
  const { nodeName } = readObject<V1PodSpec>(object.spec);
  return { ...identity, namespace, node: uses === null ? "" : (readText(nodeName) ?? ""), uses };
}

type Enabled = { enabled: boolean; resources: readonly string[] };

/** `read` with the Node's share of the gauges, if they are enabled. */
export function withAllocatable<T extends object>(
  read: (json: unknown) => T | null,
  { enabled, resources }: Enabled,
): (json: unknown) => T | null {
  if (!enabled) return read;
  return (json) => {
    const node = read(json);
    return node && { ...node, allocatable: readAllocatable(json, resources) };
  };
}

/** The same for pods. */
export function withUses<T extends { uses?: readonly ResourceUse[] }>(
  read: (json: unknown) => T | null,
  { enabled, resources }: Enabled,
): (json: unknown) => T | null {
  if (!enabled) return read;
  return (json) => {
    const pod = read(json);
    if (pod === null) return null;
    const uses = readUses(json, resources);
    return uses === null ? pod : { ...pod, uses };
  };
}
