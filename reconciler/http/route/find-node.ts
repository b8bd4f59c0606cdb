/**
 * Finds the node that a name means: its id, its instance's id, its agent's host name, the name of
 * its Node in Kubernetes or its NodeName in Slurm. Pure.
 */
import type { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";

export type Found = Node | { ambiguous: string[] } | null;

/** How long former names of a node's Kubernetes object are remembered. */
const REMEMBERED_MS = 86_400_000;

/**
 * A host name is the agent's claim: it counts only if no instance or Kubernetes Node has that name.
 * Living nodes come first, because names are reused; a gone node is still found. `past`: also by
 * former names. That is for reads only: in an order such a name may mean the Node that has it now.
 */
export function findNode(
  nodes: ReadonlyMap<NodeId, Node>,
  given: string,
  past: { now: number } | null = null,
): Found {
  const exact = nodes.get(given as NodeId);
  if (exact !== undefined) return exact;
  const proven = [...nodes.values()].filter((node) => isNamed(node, given));
  const claimed = [...nodes.values()].filter((node) => node.agent?.inventory.hostname === given);
  const lives = proven.some(({ phase }) => phase.kind !== "gone");
  const named = lives ? proven : [...new Set([...proven, ...claimed])];
  const living = named.filter(({ phase }) => phase.kind !== "gone");
  if (living.length > 0) return oneOf(living);
  if (named.length > 0) return newestOf(named);
  if (past === null) return null;
  const former = [...nodes.values()].filter((node) => wasNamed(node, given, past.now));
  return former.length === 0 ? null : newestOf(former);
}

function isNamed({ instance, kube, slurm }: Node, given: string): boolean {
  return instance?.id === given || kube?.name === given || slurm?.name === given;
}

function wasNamed({ kube }: Node, given: string, now: number): boolean {
  return (kube?.former ?? []).some(({ name, at }) => name === given && now - at < REMEMBERED_MS);
}

function oneOf(nodes: readonly Node[]): Found {
  const [first] = nodes;
  if (nodes.length === 1 && first !== undefined) return first;
  return { ambiguous: nodes.map(({ id }) => id) };
}

/** Of several gone nodes: one whose Kubernetes object still exists, else the last to end. */
function newestOf(nodes: readonly Node[]): Found {
  const hasObject = ({ kube }: Node): number =>
    kube !== null && kube.absentSince === null ? 1 : 0;
  return nodes.reduce((best, node) => {
    const by = hasObject(node) - hasObject(best) || node.phase.since - best.phase.since;
    return by > 0 ? node : best;
  });
}
