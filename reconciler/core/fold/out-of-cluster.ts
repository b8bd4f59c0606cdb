/**
 * Folds elapsed time into nodes whose Node is NotReady, or gone, beside their agent: it is reported
 * once, and after `kubernetes.not_ready_after` the node counts as unhealthy. Pure. Only time in
 * which this process saw the cluster counts: a pause, a restart or a dark API server starts it
 * again.
 */
import type { KubernetesConfig } from "../../../schema/config.ts";
import type { EventDraft } from "../../../schema/event.ts";
import type { Node } from "../../../schema/node.ts";
import { nodeEvent } from "../event-draft.ts";
import { isLostToCluster, isUnbought, outOfCluster } from "../fleet.ts";
import { lossDoubt } from "../safety/cluster-loss.ts";
import { missingNodeOf } from "../safety/missing-node.ts";
import { sayOutNext } from "../say/hold.ts";

/** A kubelet that restarts is Ready again within this time. */
const REPORT_MS = 60_000;

export type ClusterTime = {
  config: Pick<KubernetesConfig, "enabled" | "readyTimeoutMs" | "notReadyAfterMs">;
  now: number;
  /** For how long this process has seen the cluster without a break. */
  watchedMs: number;
};

type Told = { node: Node; event: EventDraft | null };

/** `null` = nothing changes. `nodes`: the fleet, read only where a node is due. */
export function foldOutOfCluster(
  node: Node,
  time: ClusterTime,
  nodes: () => Iterable<Node>,
): Told | null {
  if (node.kube === null) return null;
  const { config, now, watchedMs } = time;
  if (config.enabled === false) return foldFound(node);
  const told = foldMissing(node, config.readyTimeoutMs, now) ?? foldNotReady(node, now, watchedMs);
  return told ?? foldLost(node, time, nodes);
}

/**
 * Reports once that the Node object of a healthy machine is missing; `null` = not now. A restarted
 * kubelet registers again within `patienceMs`, the time that a new machine has to join.
 */
export function foldMissing(
  node: Node,
  patienceMs: number,
  now: number,
): { node: Node; event: EventDraft } | null {
  const { kube } = node;
  const missing = missingNodeOf(node);
  if (kube === null || missing === null || kube.missedAt !== undefined) return null;
  if (now - missing.since < patienceMs) return null;
  const event = nodeEvent(
    node,
    now,
    "kube.lost",
    sayOutNext({ ...missing, shows: null }, replaceable(node)),
  );
  return { node: { ...node, kube: { ...kube, missedAt: now } }, event };
}

/** Its id, if `navarch replace` takes it. */
const replaceable = (node: Node): string | null => (isUnbought(node) ? null : node.id);

/** Reports once that the Node is NotReady. */
function foldNotReady(node: Node, now: number, watchedMs: number): Told | null {
  const { kube } = node;
  if (kube === null || kube.absentSince !== null || kube.missedAt !== undefined) return null;
  const since = kube.notReadySince;
  if (since === undefined || Math.min(now - since, watchedMs) < REPORT_MS) return null;
  const next = { ...node, kube: { ...kube, missedAt: now } };
  const out = outOfCluster(next);
  // It is shown as soon as it would say something of the machine.
  if (out === null) return null;
  return {
    node: next,
    event: nodeEvent(node, now, "kube.not_ready", sayOutNext(out, replaceable(node))),
  };
}

function foldLost(
  node: Node,
  { config, now, watchedMs }: ClusterTime,
  nodes: () => Iterable<Node>,
): Told | null {
  const { kube } = node;
  if (kube === null) return null;
  if (config.notReadyAfterMs === 0) return foldFound(node);
  if (isLostToCluster(node) || isUnbought(node)) return null;
  const out = outOfCluster(node);
  if (out === null || Math.min(now - out.since, watchedMs) < config.notReadyAfterMs) return null;
  if (lossDoubt(node, nodes()) !== null) return null;
  return { node: { ...node, kube: { ...kube, lostAt: now } }, event: null };
}

/** The configuration no longer asks for it. */
function foldFound(node: Node): Told | null {
  if (node.kube === null || !isLostToCluster(node)) return null;
  const { lostAt: _, ...kube } = node.kube;
  return { node: { ...node, kube }, event: null };
}
