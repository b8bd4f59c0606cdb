/**
 * Utilisation as pods request it, of all Nodes or of one pool's: the sums behind
 * `node_resource_occupancy`. Pure.
 */
import type { Utilisation, UtilisationBasis } from "../../../schema/console/profile.ts";
import { type NodeResources, type ResourceNode, sumUses } from "../kubernetes/node-resource.ts";
import { parseQuantity } from "../kubernetes/quantity.ts";

const NAME = { cpu: "cpu", memory: "memory", gpu: "nvidia.com/gpu" } as const;

export type Measured = Utilisation & {
  basis: UtilisationBasis;
  /** Why a part is unknown. */
  warnings: string[];
};

const UNKNOWN: Utilisation = { cpu: null, memory: null, gpu: null };

/**
 * `isInPool` picks the Nodes on which the workload may run; where none has the resource, such as
 * GPUs of a pool of CPUs, it is measured on the whole cluster.
 */
export function measureUtilisation(
  from: NodeResources | null,
  isInPool: (node: string) => boolean,
): Measured {
  if (from === null) {
    const fix = "set kubernetes.node_resources.enabled: true";
    const warning = `utilisation is unknown, so nothing is reduced for load: ${fix}`;
    return { ...UNKNOWN, basis: "unknown", warnings: [warning] };
  }
  const nodes = [...from.nodes()];
  const inPool = nodes.filter(({ name }) => isInPool(name));
  const parts = Object.entries(NAME).map(([part, resource]) => {
    const own = shareOf(from, inPool, resource);
    return [part, own ?? shareOf(from, nodes, resource), own !== null] as const;
  });
  const unknown = parts.flatMap(([part, value]) => (value === null ? [part] : []));
  const warnings = unknown.map((part) => `${part} utilisation is unknown: no Node lists it`);
  if (from.stale !== null) warnings.push(`utilisation may be outdated: ${from.stale}`);
  const values = Object.fromEntries(parts.map(([part, value]) => [part, value]));
  const isOfPool = parts.some(([, , isOwn]) => isOwn);
  const basis = unknown.length === parts.length ? "unknown" : isOfPool ? "pool" : "cluster";
  return { ...UNKNOWN, ...values, basis, warnings };
}

/** Requests in shares of what is allocatable; `null` if no node has any. */
function shareOf(
  from: NodeResources,
  nodes: readonly ResourceNode[],
  resource: string,
): number | null {
  const index = from.resources.indexOf(resource);
  if (index < 0) return null;
  let [asked, whole] = [0n, 0n];
  for (const node of nodes) {
    const amount = parseQuantity(node.allocatable[index] ?? null);
    if (amount === null || amount <= 0n) continue;
    whole += amount;
    asked += sumUses(from.resources, node)[index]?.requests ?? 0n;
  }
  return whole === 0n ? null : Number(asked) / Number(whole);
}
