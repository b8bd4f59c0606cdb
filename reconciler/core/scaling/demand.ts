/**
 * A pool's queue as far as it is known, and whether what is known still says anything. Pure. Two
 * sources may speak: somebody who reports over HTTP, and the pool's own scheduler. A report is an
 * explicit word, so while it is fresh it stands, even beside a newer look of the scheduler: whoever
 * reports knows a queue that the scheduler does not see, and the size must not swing between the
 * two. Once the report is older than three evaluations, the scheduler's look counts, if that is
 * fresh; after that the queue is unknown: losing the source must never look like an empty queue.
 */
import type { Autoscaler } from "../../../schema/config.ts";
import type { PoolState } from "../../../schema/node.ts";
import type { QueueSight } from "../fleet.ts";
import { flatten } from "./recommend.ts";

/** The reported queue, in the unit that the pool counts: `count: gpus` reports GPUs. */
export type Demand = NonNullable<PoolState["demand"]>;

/** The last value of each source; `null` = none. */
export type Heard = { pushed: Demand | null; seen: QueueSight | null };

/** The queue that counts now. */
export type KnownQueue = {
  pendingJobs: number;
  /** Waiting and running. */
  queueDepth: number;
  /** The same two in GPUs. */
  pendingGpus: number;
  gpuDepth: number;
  /** Wall milliseconds. */
  observedAt: number;
  /** The source. */
  source: string;
  /** Pods that ask for more than one GPU each; at least this many. */
  widePods: number;
};

/** Evaluations after which demand expires. */
const INTERVALS = 3;

export function expiryMs(autoscaleIntervalMs: number): number {
  return INTERVALS * autoscaleIntervalMs;
}

/** `said` if still valid at `now`, else `null`; a clock set back does not make it younger. */
export function fresh<T extends { observedAt: number }>(
  said: T | null,
  now: number,
  autoscaleIntervalMs: number,
): T | null {
  if (said === null) return null;
  return Math.abs(now - said.observedAt) > expiryMs(autoscaleIntervalMs) ? null : said;
}

/** The queue by the better fresh source; `null` = unknown, which is not zero. */
export function knownQueue(
  { pushed, seen }: Heard,
  now: number,
  autoscaleIntervalMs: number,
): KnownQueue | null {
  const told = fresh(pushed, now, autoscaleIntervalMs);
  if (told !== null) {
    const { pendingJobs, queueDepth, observedAt, by } = told;
    const gpus = { pendingGpus: pendingJobs, gpuDepth: queueDepth };
    return { pendingJobs, queueDepth, ...gpus, observedAt, source: by, widePods: 0 };
  }
  const look = fresh(seen, now, autoscaleIntervalMs);
  return look === null ? null : { ...look, widePods: widePodsOf(look) };
}

/** Without a count: if there are more GPUs than pods, at least one pod requests several. */
function widePodsOf({ queueDepth, gpuDepth, ...more }: QueueSight & { widePods?: number }): number {
  return more.widePods ?? (gpuDepth > queueDepth ? 1 : 0);
}

/** Whether any part of the autoscaler looks at the queue. */
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

/** What is wrong with the pool's demand, for its conditions; `null` = nothing. */
export function demandProblem(
  autoscaler: Autoscaler | null,
  heard: Heard,
  now: number,
  autoscaleIntervalMs: number,
): string | null {
  if (!wantsDemand(autoscaler)) return null;
  if (knownQueue(heard, now, autoscaleIntervalMs) !== null) return null;
  const { pushed, seen } = heard;
  const last =
    seen !== null && (pushed === null || seen.observedAt > pushed.observedAt)
      ? { ...seen, word: `the last word of ${seen.source}` }
      : pushed === null
        ? null
        : { ...pushed, word: "the last report" };
  if (last === null) return "demand: no queue reported yet; it is unknown, not empty";
  const at = new Date(last.observedAt).toISOString();
  const words = `${last.word} (queue depth ${last.queueDepth}) is of ${at}`;
  return `demand: the queue is unknown, not empty: ${words}`;
}

/**
 * What is wrong with a known queue; `null` = nothing. A pod that requests eight GPUs counts as one
 * job, so a pool that counts pods would be far too small.
 */
export function demandWarning(
  autoscaler: Autoscaler | null,
  known: KnownQueue | null,
): string | null {
  const queue = queuesOf(autoscaler).find((one) => one.count === "pods");
  if (queue === undefined || known === null || known.widePods === 0) return null;
  const { widePods, queueDepth, gpuDepth, source } = known;
  const wide = widePods === 1 ? "at least one pod asks" : `${widePods} pods ask`;
  return (
    `queue: ${wide} for more than one GPU (${queueDepth} pods for ${gpuDepth} GPUs, by ` +
    `${source}), but jobs_per_node: ${queue.jobsPerNode} counts pods; set count: gpus to count GPUs`
  );
}
