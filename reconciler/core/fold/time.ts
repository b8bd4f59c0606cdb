/**
 * What passes by itself: silence, and what has been over for long enough to be forgotten. Pure
 * apart from the unit of work it fills.
 */
import type { Config } from "../../../schema/config.ts";
import type { NodeId, PoolName } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import { type Fleet, isUnbought, timingOf } from "../fleet.ts";
import { isExpectedAway } from "../upgrade/word.ts";
import { foldMissing } from "./missing.ts";
import { foldPresence, presenceOf, type Presences } from "./presence.ts";
import { foldReview } from "./uncordon.ts";
import { foldSuppression } from "./suppression.ts";

export type TimeInput = {
  fleet: Fleet;
  config: Config;
  now: number;
  presence: Presences;
};

/** An object that nobody could remove for this long is a person's to look after. */
const OWED_MS_MAX = 7 * 86_400_000;

/** Ids of nodes that are forgotten now, their change in the unit of work. */
export function foldTime(input: TimeInput, work: UnitOfWork): NodeId[] {
  const removed: NodeId[] = [];
  const timing = timingOf(input.config);
  const pools = new Map(input.config.pools.map(({ name }) => [name as string, name]));
  let boots: ByBoot | null = null;
  const bought = (): ByBoot => (boots ??= nodesByBoot(input.fleet));
  for (const id of input.fleet.nodes.keys()) {
    const node = work.node(id);
    if (node === null) continue;
    if (isSuperseded(node, input, bought)) {
      work.change.removedNodes.push(id);
      removed.push(id);
      continue;
    }
    if (node.phase.kind === "gone") {
      // People look for it by the name of its Node for as long after that is gone.
      const goneAt = Math.max(node.phase.since, node.kube?.absentSince ?? 0);
      if (input.now - goneAt < timing.retainTerminatedMs) continue;
      // Its object in Kubernetes is still to be removed, and this row is what says so.
      const removes = input.config.kubernetes.mirror.deleteNode;
      const owed = removes && node.kube !== null && node.kube.absentSince === null;
      if (owed && input.now - node.phase.since < OWED_MS_MAX) continue;
      work.change.removedNodes.push(id);
      removed.push(id);
      continue;
    }
    const { silentSince } = node.health;
    const home = homeOf(node, pools);
    const stray = isUnbought(node);
    // While its Node is marked, this record is what says why, and nothing returns it to work.
    const marks = node.kube !== null && node.kube.isolatedUid === node.kube.uid;
    const isSilent = silentSince !== null && input.now - silentSince >= timing.retainTerminatedMs;
    if (stray && !marks && isSilent) {
      work.change.removedNodes.push(id);
      removed.push(id);
      continue;
    }
    const housed = home === node.pool ? null : { ...node, pool: home, pooledAt: input.now };
    const freed = foldSuppression(housed ?? node) ?? housed;
    if (freed !== null) work.putNode(freed);
    const { uncordonReviewMs } = input.config.kubernetes;
    const review = foldReview(freed ?? node, uncordonReviewMs, input.now);
    if (review !== null) {
      work.putNode(review.node);
      work.tell([review.event]);
    }
    const { enabled, readyTimeoutMs } = input.config.kubernetes;
    const known = review?.node ?? freed ?? node;
    const missing = enabled === false ? null : foldMissing(known, readyTimeoutMs, input.now);
    if (missing !== null) {
      work.putNode(missing.node);
      work.tell([missing.event]);
    }
    const { silentMs, heard } = presenceOf(input.presence, id);
    const folded = foldPresence(
      missing?.node ?? known,
      isExpectedAway(input.fleet.facts, node, input.now) ? null : silentMs,
      heard,
      input.now,
      timing,
    );
    if (folded === null) continue;
    work.putNode(folded.node);
    work.tell(folded.events);
  }
  return removed;
}

/**
 * The pool of an unmanaged machine: what its agent says, if that is a pool of ours. It
 * gives the node limits, drain settings and a place in the counts, never a right to be replaced.
 */
function homeOf(node: Node, pools: ReadonlyMap<string, PoolName>): Node["pool"] {
  return isUnbought(node) ? (pools.get(node.agent?.inventory.pool ?? "") ?? null) : node.pool;
}

/**
 * Whether a record was made before anybody could know whose it is, and the same boot of the same
 * machine has gone on as one of ours since: a DaemonSet's agent gives its Node's name, which may be
 * there before the cluster has shown the Node. What somebody must still see is kept.
 */
function isSuperseded(node: Node, input: TimeInput, bought: () => ByBoot): boolean {
  const { agent, health, cordon, id } = node;
  if (!isUnbought(node) || agent === null) return false;
  if (health.silentSince !== null || health.held.length > 0) return false;
  if (cordon.human !== null || cordon.product !== null) return false;
  if (node.session !== null || node.order !== null) return false;
  const { silentMs } = presenceOf(input.presence, id);
  if (silentMs === null || silentMs < 2 * input.config.server.heartbeatIntervalMs) return false;
  const read = agent.inventory?.provider_ids ?? [];
  return (bought().get(agent.bootId) ?? []).some(
    ({ kube, instance }) => kube?.name === id || (instance !== null && read.includes(instance.id)),
  );
}

/** Our own machines' nodes by the boot that their agents last told. */
type ByBoot = Map<string, Node[]>;

function nodesByBoot({ nodes }: Fleet): ByBoot {
  const bought = [...nodes.values()].filter(({ instance }) => instance !== null);
  return Map.groupBy(bought, ({ agent }) => agent?.bootId ?? "");
}
