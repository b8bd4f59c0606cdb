/**
 * Chooses the source of a pool's queue and expires it. Pure. A fresh report over HTTP counts before
 * a newer observation of the pool's scheduler: it may cover a queue that the scheduler does not
 * see, and the size must not swing between the two. Three evaluations after the last report the
 * scheduler's observation counts, if it is fresh. Otherwise the queue is unknown, never empty.
 */
import type { Autoscaler } from "../../../schema/config.ts";
import type { PoolState } from "../../../schema/node.ts";
import type { QueueSight } from "../fleet.ts";
import { flatten } from "./recommend.ts";

/** The reported queue, in the unit that the pool counts: `count: gpus` reports GPUs. */
export type Demand = NonNullable<PoolState["demand"]>;

/** The last report and the last observation of the scheduler; `null` = none. */
export type Heard = {
  pushed: Demand | null;
  seen: QueueSight | null;
  /** Of the demand queue; it counts beside the others, not in their place. */
  tasks?: QueueSight | null;
};

/** The queue that counts now. `widePods`: at least this many pods request several GPUs each. */
export type KnownQueue = Required<QueueSight>;

/** Evaluations after which demand expires. */
const INTERVALS = 3;

export function expiryMs(autoscaleIntervalMs: number): number {
  return INTERVALS * autoscaleIntervalMs;
}

/** `value` if still valid at `now`, else `null`; a clock set back does not make it younger. */
export function fresh<T extends { observedAt: number }>(
  value: T | null,
  now: number,
  autoscaleIntervalMs: number,
): T | null {
  if (value === null) return null;
  return Math.abs(now - value.observedAt) > expiryMs(autoscaleIntervalMs) ? null : value;
}

/** The queue of the preferred fresh source; `null` = unknown, which is not zero. */
export function knownQueue(
  { pushed, seen }: Heard,
  now: number,
  autoscaleIntervalMs: number,
): KnownQueue | null {
  const reported = fresh(pushed, now, autoscaleIntervalMs);
  if (reported !== null) {
    const { pendingJobs, queueDepth, observedAt, by } = reported;
    const gpus = { pendingGpus: pendingJobs, gpuDepth: queueDepth };
    return { pendingJobs, queueDepth, ...gpus, observedAt, source: by, widePods: 0, widest: 0 };
  }
  const observed = fresh(seen, now, autoscaleIntervalMs);
  if (observed === null) return null;
  // With more GPUs than pods, at least one pod requests several.
  const least = observed.gpuDepth > observed.queueDepth ? 1 : 0;
  return { ...observed, widePods: observed.widePods ?? least, widest: observed.widest ?? 0 };
}

/** Whether any part of the autoscaler reads the queue. */
export function wantsDemand(autoscaler: Autoscaler | null): boolean {
  return queuesOf(autoscaler).length > 0;
}

/** The unit of the pool's queue; `pods` if its parts disagree. */
export function unitOf(autoscaler: Autoscaler | null): "pods" | "gpus" {
  const queues = queuesOf(autoscaler);
  return queues.length > 0 && queues.every((one) => one.count === "gpus") ? "gpus" : "pods";
}

type Queue = Extract<Autoscaler, { type: "queue" }>;

function queuesOf(autoscaler: Autoscaler | null): Queue[] {
  if (autoscaler === null) return [];
  return flatten(autoscaler).filter((one): one is Queue => one.type === "queue");
}

/** The pool's condition while its queue is unknown, or `null`. */
export function demandProblem(
  autoscaler: Autoscaler | null,
  heard: Heard,
  now: number,
  autoscaleIntervalMs: number,
): string | null {
  if (!wantsDemand(autoscaler)) return null;
  if (knownQueue(heard, now, autoscaleIntervalMs) !== null) return null;
  const { pushed, seen, tasks = null } = heard;
  if (pushed === null && seen === null && tasks !== null) return null;
  const last =
    seen !== null && (pushed === null || seen.observedAt > pushed.observedAt)
      ? { ...seen, what: `the last observation of ${seen.source}` }
      : pushed === null
        ? null
        : { ...pushed, what: "the last report" };
  if (last === null) return "demand: no queue reported yet; it is unknown, not empty";
  const at = new Date(last.observedAt).toISOString();
  const words = `${last.what} (queue depth ${last.queueDepth}) is of ${at}`;
  return `demand: the queue is unknown, not empty: ${words}`;
}

/** A pod that asks for more than a node is counted to give: no number of nodes gives it a place. */
function sayTooWide(autoscaler: Autoscaler | null, widest: number): string | null {
  const queue = queuesOf(autoscaler).find((one) => one.count === "gpus");
  if (queue === undefined || widest <= queue.jobsPerNode) return null;
  return (
    `queue: a pod asks for ${widest} GPUs, more than jobs_per_node: ${queue.jobsPerNode}; if no ` +
    "node has as many, it finds no place, and the nodes that are bought for it stay idle"
  );
}

/**
 * The warning about a pool that counts pods while some request several GPUs, or about a pod that
 * fits on no node; else `null`. In the former such a pod counts as one job, so the pool would be
 * far too small.
 */
export function demandWarning(
  autoscaler: Autoscaler | null,
  known: KnownQueue | null,
): string | null {
  const tooWide = sayTooWide(autoscaler, known?.widest ?? 0);
  if (tooWide !== null) return tooWide;
  const queue = queuesOf(autoscaler).find((one) => one.count === "pods");
  if (queue === undefined || known === null || known.widePods === 0) return null;
  const { widePods, queueDepth, gpuDepth, source } = known;
  const wide = widePods === 1 ? "at least one pod asks" : `${widePods} pods ask`;
  return (
    `queue: ${wide} for more than one GPU (${queueDepth} pods for ${gpuDepth} GPUs, by ` +
    `${source}), but jobs_per_node: ${queue.jobsPerNode} counts pods; set count: gpus to count GPUs`
  );
}
