/** Folds elapsed time: silence, reminders and retention. Pure except for the unit of work. */
import type { Config } from "../../../schema/config.ts";
import type { NodeId, PoolName } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import { type Fleet, isUnbought, isWorker, timingOf } from "../fleet.ts";
import { isExpectedAway } from "../upgrade/word.ts";
import { foldOutOfCluster } from "./out-of-cluster.ts";
import { foldPresence, presenceOf, type Presences } from "./presence.ts";
import { foldReview } from "./uncordon.ts";
import { foldSuppression } from "./suppression.ts";

export type TimeInput = {
  fleet: Fleet;
  config: Config;
  now: number;
  presence: Presences;
  /** For how long this process has seen the cluster without a break; 0 = it does not. */
  watchedMs: number;
};

/** A Node object that could not be deleted within this time is left to a person. */
const OWED_MS_MAX = 7 * 86_400_000;

/** Returns the ids of removed nodes. */
export function foldTime(input: TimeInput, work: UnitOfWork): NodeId[] {
  const removed: NodeId[] = [];
  const timing = timingOf(input.config);
  const pools = new Map(input.config.pools.map(({ name }) => [name as string, name]));
  let boots: ByBoot | null = null;
  const placed = { ...input, config: input.config.kubernetes };
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
      // People look for a machine by the name of its Node, also after the Node is gone.
      const goneAt = Math.max(node.phase.since, node.kube?.absentSince ?? 0);
      if (input.now - goneAt < timing.retainTerminatedMs) continue;
      // Its cordon still spends the isolation budget.
      const { windowMs } = input.config.safety.budgets.isolate;
      if (node.isolatedAt !== null && input.now - node.isolatedAt < windowMs) continue;
      // This record is needed until its Node object is deleted.
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
    // Kept while its Node is marked, because this record holds the reason.
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
    const known = review?.node ?? freed ?? node;
    const out = foldOutOfCluster(known, placed, () => nodesOf(work));
    if (out !== null) {
      work.putNode(out.node);
      if (out.event !== null) work.tell([out.event]);
    }
    const { silentMs, heard } = presenceOf(input.presence, id);
    const folded = foldPresence(
      out?.node ?? known,
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

function* nodesOf(work: UnitOfWork): Generator<Node> {
  for (const id of work.nodeIds()) {
    const node = work.node(id);
    if (node !== null) yield node;
  }
}

/**
 * The pool of an unmanaged machine is the one that its agent names, if that pool is configured. The
 * pool's limits and drain settings apply and its counts include the node, but it is not replaced.
 */
function homeOf(node: Node, pools: ReadonlyMap<string, PoolName>): Node["pool"] {
  if (isWorker(node)) return null;
  return isUnbought(node) ? (pools.get(node.agent?.inventory.pool ?? "") ?? null) : node.pool;
}

/**
 * Whether an unmanaged record duplicates a bought node with the same boot: a DaemonSet's agent
 * reports its Node's name, perhaps before the cluster lists the Node. A record with evidence, a
 * cordon or an order is kept.
 */
function isSuperseded(node: Node, input: TimeInput, bought: () => ByBoot): boolean {
  const { agent, health, cordon, id } = node;
  if (!isUnbought(node) || isWorker(node) || agent === null) return false;
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

/** Bought nodes by the last reported boot id. */
type ByBoot = Map<string, Node[]>;

function nodesByBoot({ nodes }: Fleet): ByBoot {
  const bought = [...nodes.values()].filter(({ instance }) => instance !== null);
  return Map.groupBy(bought, ({ agent }) => agent?.bootId ?? "");
}
