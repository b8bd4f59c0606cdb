/**
 * Machines whose agents report while their Nodes are NotReady, or gone after they had joined: they
 * are billed and take no pods. Pure. That is the word of one cluster about its machines, so it is
 * not believed where many Nodes are out at once, or where a person had cordoned the Node.
 */
import type { Node } from "../../../schema/node.ts";
import {
  isLostToCluster,
  isUnbought,
  isWorker,
  type OutOfCluster,
  outOfCluster,
} from "../fleet.ts";
import { FLEET, scopesOf } from "./scope.ts";

/** Karpenter's node repair stops at this share too (karpenter `pkg/controllers/node/health`). */
const SHARE_MAX = 0.2;

/** A finding about the Node, for people. */
export function sayOut({ name, since, shows }: OutOfCluster): string {
  const what =
    shows === null ? "is missing in Kubernetes" : `is not Ready in Kubernetes (${shows})`;
  return `Node ${name} ${what} since ${new Date(since).toISOString()}`;
}

/** The same, with what a person can do. */
export function sayOutNext(node: Node, out: OutOfCluster): string {
  const kubelet =
    out.shows === null
      ? "restart its kubelet, which registers the Node again"
      : "look at its kubelet and network";
  const order = isUnbought(node) ? "" : `, or run \`navarch replace ${node.id}\``;
  return `${sayOut(out)}, so no pod can be placed there: ${kubelet}${order}`;
}

/** Why the node counts as lost to its cluster; `null` = it does not. */
export function lossOfNode(node: Node): string | null {
  if (!isLostToCluster(node)) return null;
  const out = outOfCluster(node);
  return out === null ? "its Node is out of the cluster" : `its ${sayOut(out)}`;
}

/** Whether no evidence but its cluster's word, and perhaps silence, speaks against the node. */
export function isLostOnly(node: Node): boolean {
  return isLostToCluster(node) && node.health.verdict !== "unhealthy";
}

/** Why the cluster's word is no reason to repair this node now, or `null`. */
export function lossDoubt(node: Node, nodes: Iterable<Node>): string | null {
  return takenBy(node) ?? crowdOf(node, nodes);
}

/** People stop a kubelet, or remove a Node, that they cordoned before. */
function takenBy({ kube, cordon }: Node): string | null {
  if (kube === null) return null;
  if (kube.leftCordoned === true) return `Node ${kube.name} was cordoned when it was removed`;
  if (cordon.human !== null) return `cordoned by ${cordon.human.by}: ${cordon.human.why}`;
  // Its kubelet goes before its machine does.
  const [deleter] = kube.deleters ?? [];
  if (deleter !== undefined) return `Node ${kube.name}: ${deleter}`;
  if (kube.others.length === 0) return null;
  return `Node ${kube.name} is cordoned by ${kube.others.join(", ")}`;
}

/** Too many Nodes around this one are out at once: the cluster, or a change of it, is at fault. */
function crowdOf(node: Node, nodes: Iterable<Node>): string | null {
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
    const where = scope === FLEET ? "the fleet" : scope;
    const what = `${out} of ${all} Nodes of ${where} are NotReady or missing at once`;
    return `${what}: the cluster is suspected and not the machines`;
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
