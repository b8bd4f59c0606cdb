/**
 * Machines whose agents report while their Nodes are NotReady, or gone after they had joined: they
 * are billed and take no pods. Pure. That is the word of one cluster about its machines, so it is
 * not believed where many Nodes are out at once, or where a person had cordoned the Node.
 */
import type { Node } from "../../../schema/node.ts";
import { isLostToCluster, isUnbought, isWorker, outOfCluster } from "../fleet.ts";
import { FLEET, scopesOf } from "./scope.ts";
import type { Cause } from "../say/cause.ts";
import type { Doubt } from "../say/hold.ts";

/** Karpenter's node repair stops at this share too (karpenter `pkg/controllers/node/health`). */
const SHARE_MAX = 0.2;

/** Why the node counts as lost to its cluster; `null` = it does not. */
export function lossOfNode(node: Node): Cause | null {
  if (!isLostToCluster(node)) return null;
  const out = outOfCluster(node);
  return out === null ? { code: "out" } : { code: "out_of_cluster", ...out };
}

/** Whether no evidence but its cluster's word, and perhaps silence, speaks against the node. */
export function isLostOnly(node: Node): boolean {
  return isLostToCluster(node) && node.health.verdict !== "unhealthy";
}

/** Why the cluster's word is no reason to repair this node now, or `null`. */
export function lossDoubt(node: Node, nodes: Iterable<Node>): Doubt | null {
  return takenBy(node) ?? crowdOf(node, nodes);
}

/** People stop a kubelet, or remove a Node, that they cordoned before. */
function takenBy({ kube, cordon }: Node): Doubt | null {
  if (kube === null) return null;
  const { name: node, others } = kube;
  if (kube.leftCordoned === true) return { code: "left_cordoned", node };
  if (cordon.human !== null) {
    return { code: "cordoned", by: cordon.human.by, why: cordon.human.why };
  }
  // Its kubelet goes before its machine does.
  const [deleter] = kube.deleters ?? [];
  if (deleter !== undefined) return { code: "deleter", node, who: deleter };
  return others.length === 0 ? null : { code: "others_cordoned", node, by: others };
}

/** Too many Nodes around this one are out at once: the cluster, or a change of it, is at fault. */
function crowdOf(node: Node, nodes: Iterable<Node>): Doubt | null {
  const scopes = new Map(scopesOf(node).map((scope) => [scope, { all: 0, out: 0 }]));
  for (const other of nodes) {
    if (!isCounted(other)) continue;
    const out = other.kube?.absentSince !== null || other.kube.notReady != null;
    for (const scope of scopesOf(other)) {
      const count = scopes.get(scope);
      if (count === undefined) continue;
      count.all += 1;
      if (out) count.out += 1;
    }
  }
  for (const [scope, { all, out }] of scopes) {
    if (out <= Math.max(1, Math.floor(SHARE_MAX * all))) continue;
    return { code: "crowd", out, all, scope: scope === FLEET ? null : scope };
  }
  return null;
}

/** Nodes that joined and that nobody works on. */
function isCounted(node: Node): boolean {
  const { kube, phase, cordon } = node;
  if (kube === null || isWorker(node) || isUnbought(node)) return false;
  if (cordon.human !== null || kube.others.length > 0 || kube.leftCordoned === true) return false;
  const { kind } = phase;
  return kind === "serving" || kind === "suspect" || kind === "replacing" || kind === "draining";
}
