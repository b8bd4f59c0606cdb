/**
 * The gauges of pools: sizes, states and demand. Counted without a pause, because healthy and
 * unhealthy have to add up to the total in every scrape.
 */
import { NODE_STATUSES } from "../../../schema/api.ts";
import type { Node } from "../../../schema/node.ts";
import { staleness, viewScaling } from "../view/scaling.ts";
import { refusalOf } from "../../core/decide/kube.ts";
import { countsIn, desiredOf, isUnbought, isWorker } from "../../core/fleet.ts";
import type { Reconciler } from "../../runtime/loop.ts";
import { missingNodeOf, notReadyNodeOf } from "../../core/safety/missing-node.ts";
import { isRepairCalledOff } from "../../core/safety/uncordoned.ts";
import { countPool } from "../view/pool.ts";
import { instanceStateOf, statusOf } from "../../core/status.ts";
import { Series, shortOf } from "./series.ts";

export function formatPools(reconciler: Reconciler): Uint8Array[] {
  return [...formatSizes(reconciler), ...formatDemand(reconciler)].map((series) => series.take());
}

/** The label of nodes in no pool, or in one that is not configured. */
const NO_POOL = "";

function formatSizes(reconciler: Reconciler): Series[] {
  const total = new Series("navarch_nodes_total");
  const healthy = new Series("navarch_nodes_healthy");
  const unhealthy = new Series("navarch_nodes_unhealthy");
  const unbought = new Series("navarch_nodes_unmanaged");
  const own = new Series("navarch_pool_healthy_nodes");
  const byStatus = new Series("navarch_nodes");
  const desired = new Series("navarch_pool_desired_nodes");
  const instances = new Series("navarch_instances");
  const kube = openKube(reconciler);
  const { nodes, pools } = reconciler.fleet();
  const byPool = new Map<string, Node[]>();
  const configured = reconciler.activeConfig().pools;
  for (const pool of configured) byPool.set(pool.name, []);
  for (const node of nodes.values()) {
    // `navarch_agentpool_workers` counts these.
    if (isWorker(node)) continue;
    const name = node.pool !== null && byPool.has(node.pool) ? node.pool : NO_POOL;
    const list = byPool.get(name);
    if (list === undefined) byPool.set(name, [node]);
    else list.push(node);
  }
  for (const [name, members] of byPool) {
    const pool = configured.find((one) => one.name === name);
    const count = countPool(members);
    total.add({ pool: name }, count.total);
    healthy.add({ pool: name }, count.healthy);
    unhealthy.add({ pool: name }, count.unhealthy);
    unbought.add({ pool: name }, countPool(members.filter(isUnbought)).total);
    if (pool !== undefined) {
      own.add({ pool: name }, countPool(members.filter((one) => countsIn(one, pool))).healthy);
      desired.add({ pool: name }, desiredOf(pool, pools.get(pool.name)));
    }
    kube.add(name, members);
    const statuses = new Map<string, number>(NODE_STATUSES.map((s) => [s, 0]));
    const states = new Map<string, number>();
    for (const node of members) {
      if (node.phase.kind === "gone") continue;
      const status = statusOf(node, pool?.health.unhealthyThreshold);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (isUnbought(node)) continue;
      const state = instanceStateOf(node);
      states.set(state, (states.get(state) ?? 0) + 1);
    }
    for (const [status, n] of statuses)
      byStatus.add({ pool: name, status: shortOf(status, "NODE_STATUS_") }, n);
    for (const [state, n] of states)
      instances.add({ pool: name, state: shortOf(state, "INSTANCE_STATE_") }, n);
  }
  return [total, healthy, unhealthy, unbought, own, byStatus, desired, instances, ...kube.all];
}

/** The gauges of nodes whose state Kubernetes does not show, or whose cordon it refuses. */
function openKube(reconciler: Reconciler) {
  const refused = new Series("navarch_kube_cordon_refused_nodes");
  const broken = new Series("navarch_kube_uncordoned_broken_nodes");
  const unproven = new Series("navarch_kube_unproven_nodes");
  const missing = new Series("navarch_kube_missing_nodes");
  const notReady = new Series("navarch_kube_not_ready_nodes");
  const { unproven: claims, cluster } = reconciler.cluster();
  const now = reconciler.lastSight()?.now ?? 0;
  const isRefused = ({ kube }: Node): boolean => kube !== null && refusalOf(kube, now) !== null;
  const isMissing = (node: Node): boolean => missingNodeOf(node) !== null && !claims.has(node.id);
  const isNotReady = (node: Node): boolean => notReadyNodeOf(node) !== null;
  const add = (pool: string, members: readonly Node[]): void => {
    refused.add({ pool }, members.filter(isRefused).length);
    broken.add({ pool }, members.filter(isRepairCalledOff).length);
    unproven.add({ pool }, members.filter(({ id }) => claims.has(id)).length);
    missing.add({ pool }, cluster === null ? 0 : members.filter(isMissing).length);
    notReady.add({ pool }, cluster === null ? 0 : members.filter(isNotReady).length);
  };
  return { all: [refused, broken, unproven, missing, notReady], add };
}

/** An unknown queue has no series, except the gauge that reports it. */
function formatDemand(reconciler: Reconciler): Series[] {
  const pending = new Series("navarch_pool_pending_jobs");
  const depth = new Series("navarch_pool_queue_depth");
  const stale = new Series("navarch_pool_demand_stale");
  const now = reconciler.lastSight()?.now;
  const { server, pools } = reconciler.activeConfig();
  for (const pool of pools) {
    if (now === undefined) break;
    const state = reconciler.fleet().pools.get(pool.name);
    const queue = reconciler.queueOf(pool.name);
    const lost = staleness(pool, state, { server, now, seen: queue });
    if (lost === null) continue;
    const seen = viewScaling(pool, state, { server, status: null, now, seen: queue });
    stale.add({ pool: pool.name }, lost);
    if (seen.pending_jobs !== null) pending.add({ pool: pool.name }, seen.pending_jobs);
    if (seen.queue_depth !== null) depth.add({ pool: pool.name }, seen.queue_depth);
  }
  return [pending, depth, stale];
}
