/**
 * Bought machines whose Node object is missing in Kubernetes, as after `kubectl delete node`: they
 * are paid, and no pod can be placed on them. Their kubelet registers a Node when it starts, not
 * before. Nothing is bought for them: the machine is healthy, and a person can bring it back.
 * Unmanaged machines are their owner's to take out of the cluster. Pure.
 */
import { isLeaving, type Node } from "../../../schema/node.ts";
import { isUnbought } from "../fleet.ts";

export type MissingNode = { name: string; since: number };

/** `null` = its Node is there, it never had one, or the machine is on its way out. */
export function missingNodeOf(node: Node): MissingNode | null {
  const { kube, phase } = node;
  if (kube === null || kube.absentSince === null) return null;
  if (isUnbought(node) || isLeaving(phase)) return null;
  return { name: kube.name, since: kube.absentSince };
}

const RESTORE = "restart its kubelet, which registers the Node again";

/** What is missing since when, and what a person can do. */
export function sayMissing({ id }: Pick<Node, "id">, { name, since }: MissingNode): string {
  const at = new Date(since).toISOString();
  const what = `Node ${name} is missing in Kubernetes since ${at}, so no pod can be placed there`;
  return `${what}: ${RESTORE}, or run \`navarch replace ${id}\``;
}

/** How many bought machines of the cluster have their Node, of how many that had one once. */
export function countNodes(nodes: Iterable<Node>): { expected: number; matched: number } {
  const count = { expected: 0, matched: 0 };
  for (const node of nodes) {
    const { kube, phase } = node;
    if (kube === null || phase.kind === "gone") continue;
    const isThere = kube.absentSince === null;
    if (!isThere && missingNodeOf(node) === null) continue;
    count.expected++;
    if (isThere) count.matched++;
  }
  return count;
}
