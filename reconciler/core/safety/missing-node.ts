/**
 * Bought machines whose Node object is missing in Kubernetes, as after `kubectl delete node`: they
 * are billed, and no pod can run there until their kubelet restarts and registers again. The owner
 * of an unmanaged machine may remove its Node. Pure.
 */
import { isLeaving, type Node } from "../../../schema/node.ts";
import { isUnbought, outOfCluster } from "../fleet.ts";

export type MissingNode = { name: string; since: number };

/** `null` = its Node exists, it never had one, or the machine is leaving. */
export function missingNodeOf(node: Node): MissingNode | null {
  const { kube, phase } = node;
  if (kube === null || kube.absentSince === null) return null;
  if (isUnbought(node) || isLeaving(phase)) return null;
  return { name: kube.name, since: kube.absentSince };
}

/** What the cluster shows of a node in service whose Node is there and NotReady, or `null`. */
export function notReadyNodeOf(node: Node): (MissingNode & { shows: string }) | null {
  const out = outOfCluster(node);
  return out === null || out.shows === null ? null : { ...out, shows: out.shows };
}

/** Bought machines that once had a Node (`expected`) and that have one now (`matched`). */
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
