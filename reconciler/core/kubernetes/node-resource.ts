/**
 * What the pods on a Node ask of it, by resource: the data of the gauges `node_resource_*`
 * (docs/reference/workflows.md#node-resources). Pure.
 */
import { parseQuantity } from "./quantity.ts";

/** Of one resource, in billionths of its unit: cores, bytes, devices. */
export type ResourceUse = { requests: bigint; limits: bigint };

/** A label of Nodes, and its name in Prometheus. */
export type NodeLabel = { key: string; name: string };

export type ResourceNode = {
  name: string;
  labels: Readonly<Record<string, string>>;
  /** Quantities in the order of the resources; `null`: the Node does not have it. */
  allocatable: readonly (string | null)[];
  /** Of each running pod on it, in the order of the resources. */
  uses(): Iterable<readonly ResourceUse[]>;
};

export type NodeResources = {
  resources: readonly string[];
  labels: readonly NodeLabel[];
  /** Why the rest may be outdated; `null`: it is current. */
  stale: string | null;
  /** Empty until Nodes and pods have been listed: no series means unknown. */
  nodes(): Iterable<ResourceNode>;
};

/** Each is a label of every series, or a series of every node. */
export const NAMES_MAX = 32;

const OWN_LABELS = ["node", "resource"];

/** What Prometheus allows in place of `nvidia.com/gpu.count`: `nvidia_com_gpu_count`. */
const labelName = (key: string): string =>
  key.replace(/[^A-Za-z0-9_]/g, "_").replace(/^(?=\d)/, "_");

export type NamedLabels = { ok: true; labels: NodeLabel[] } | { ok: false; message: string };

/** Two keys with one name would make two series one. */
export function nameLabels(keys: readonly string[]): NamedLabels {
  const byName = new Map<string, string>();
  for (const key of new Set(keys)) {
    const name = labelName(key);
    if (OWN_LABELS.includes(name)) {
      return { ok: false, message: `label ${key}: every series has a label ${name} already` };
    }
    const other = byName.get(name);
    if (other !== undefined) {
      return { ok: false, message: `labels ${other} and ${key} are both ${name} in Prometheus` };
    }
    byName.set(name, key);
  }
  return { ok: true, labels: [...byName].map(([name, key]) => ({ key, name })) };
}

/** Sums over the pods, in the order of `resources`. */
export function sumUses(resources: readonly string[], node: ResourceNode): ResourceUse[] {
  const sums = resources.map(() => ({ requests: 0n, limits: 0n }));
  for (const uses of node.uses()) {
    for (let index = 0; index < sums.length; index++) {
      const [sum, use] = [sums[index], uses[index]];
      if (sum === undefined || use === undefined) continue;
      sum.requests += use.requests;
      sum.limits += use.limits;
    }
  }
  return sums;
}

/** Requests in percent of what is allocatable, a quantity; `null` where nothing is. */
export function occupancyOf(requests: bigint, allocatable: string | null): number | null {
  const amount = parseQuantity(allocatable);
  return amount === null || amount <= 0n ? null : Number(100n * requests) / Number(amount);
}
