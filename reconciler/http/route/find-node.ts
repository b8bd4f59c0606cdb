/**
 * Which node a name means: its id, its instance's id, its agent's host name or the name of its Node
 * in Kubernetes. Pure.
 */
import type { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";

export type Found = Node | { ambiguous: string[] } | null;

/** For how long a name is remembered that no object of the node bears any more. */
const REMEMBERED_MS = 86_400_000;

/**
 * A host name is the agent's own word: it counts where nothing that was read at the cloud or the
 * cluster has that name. What lives comes first: names are reused. A machine that is gone is found
 * by the name of its Node for as long as it is remembered. `past`: also by names that it had, which
 * is for looking only: an order under such a name may mean the Node that bears it now.
 */
export function findNode(
  nodes: ReadonlyMap<NodeId, Node>,
  given: string,
  past: { now: number } | null = null,
): Found {
  const exact = nodes.get(given as NodeId);
  if (exact !== undefined) return exact;
  const proven = [...nodes.values()].filter((node) => isNamed(node, given));
  const said = [...nodes.values()].filter((node) => node.agent?.inventory.hostname === given);
  const lives = proven.some(({ phase }) => phase.kind !== "gone");
  const named = lives ? proven : [...new Set([...proven, ...said])];
  const living = named.filter(({ phase }) => phase.kind !== "gone");
  if (living.length > 0) return oneOf(living);
  if (named.length > 0) return newestOf(named);
  if (past === null) return null;
  const former = [...nodes.values()].filter((node) => wasNamed(node, given, past.now));
  return former.length === 0 ? null : newestOf(former);
}

function isNamed({ instance, kube }: Node, given: string): boolean {
  return instance?.id === given || kube?.name === given;
}

function wasNamed({ kube }: Node, given: string, now: number): boolean {
  return (kube?.former ?? []).some(({ name, at }) => name === given && now - at < REMEMBERED_MS);
}

function oneOf(nodes: readonly Node[]): Found {
  const [first] = nodes;
  if (nodes.length === 1 && first !== undefined) return first;
  return { ambiguous: nodes.map(({ id }) => id) };
}

/** Of several that are gone: the one whose object is still there, then the last one that ended. */
function newestOf(nodes: readonly Node[]): Found {
  const hasObject = ({ kube }: Node): number =>
    kube !== null && kube.absentSince === null ? 1 : 0;
  return nodes.reduce((best, node) => {
    const by = hasObject(node) - hasObject(best) || node.phase.since - best.phase.since;
    return by > 0 ? node : best;
  });
}
