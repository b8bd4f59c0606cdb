/**
 * The status of a pool's autoscaler: the known queue and its source, the remaining cooldown, and
 * problems and warnings. Pure.
 */
import type { Config, PoolConfig } from "../../../schema/config.ts";
import type { PoolState } from "../../../schema/node.ts";
import type { QueueSight } from "../../core/fleet.ts";
import {
  demandProblem,
  demandWarning,
  knownQueue,
  unitOf,
  wantsDemand,
  type KnownQueue,
} from "../../core/scaling/demand.ts";
import type { ScalerStatus } from "../../runtime/scaler.ts";

/** The queue that counts now, and its source. */
export type QueueView = {
  source: string;
  observed_at: string;
  /** Whole seconds. */
  age_s: number;
  /** What the autoscaler counts; `null` = no autoscaler reads the queue. */
  counts: "pods" | "gpus" | null;
  pending_gpus: number;
  gpu_depth: number;
};

/** What the autoscaler decided, and why. */
export type DecisionView = { verdict: string; because: string; at: string };

export type ScalingView = {
  pending_jobs: number | null;
  queue_depth: number | null;
  /** `null` = unknown. */
  queue: QueueView | null;
  /** The newest evaluation, or what is stored of one before this process started. */
  decision: DecisionView | null;
  /** Whole seconds until the autoscaler may act again; `null` without an autoscaler. */
  cooldown_remaining_s: number | null;
  conditions: string[];
};

type From = {
  server: Config["server"];
  status: ScalerStatus | null;
  /** Wall milliseconds. */
  now: number;
  /** The queue as the pool's scheduler shows it; absent or `null` = unknown. */
  seen?: QueueSight | null;
};

export function viewScaling(
  pool: PoolConfig,
  state: PoolState | undefined,
  { server, status, now, seen = null }: From,
): ScalingView {
  const { autoscaler } = pool.scaling;
  const interval = server.autoscaleIntervalMs;
  const heard = { pushed: state?.demand ?? null, seen };
  const known = knownQueue(heard, now, interval);
  const problem = demandProblem(autoscaler, heard, now, interval);
  const warning = demandWarning(autoscaler, known);
  const decision = decisionOf(pool, state, status);
  const newest = status ?? state?.decision ?? null;
  const full = sayFull(pool, newest?.cut === true, known);
  const conditions = [problem, warning, full].filter((one) => one !== null);
  if (autoscaler !== null && status !== null) {
    const { lost, because, problems } = status;
    // A size that is held for a lost signal says so of all of them.
    if (lost) conditions.push(`autoscaler: the size is held: ${because}`);
    else conditions.push(...problems);
  }
  const counts = wantsDemand(autoscaler) ? unitOf(autoscaler) : null;
  return {
    pending_jobs: known?.pendingJobs ?? null,
    queue_depth: known?.queueDepth ?? null,
    queue: known === null ? null : viewQueue(known, counts, now),
    decision,
    cooldown_remaining_s: cooldownOf(pool, state, now),
    conditions,
  };
}

/** Jobs wait, and the pool's own bound cut what the autoscaler wanted. */
function sayFull(
  { scaling: { autoscaler, maxNodes } }: PoolConfig,
  isCut: boolean,
  known: KnownQueue | null,
): string | null {
  const waiting = known?.pendingJobs ?? 0;
  if (waiting === 0 || !wantsDemand(autoscaler) || !isCut) return null;
  const jobs = waiting === 1 ? "1 job waits" : `${waiting} jobs wait`;
  return `autoscaler: ${jobs} and the pool has its max_nodes, ${maxNodes}: raise it to grow`;
}

function viewQueue(known: KnownQueue, counts: QueueView["counts"], now: number): QueueView {
  return {
    source: known.source,
    observed_at: new Date(known.observedAt).toISOString(),
    age_s: Math.max(0, Math.round((now - known.observedAt) / 1_000)),
    counts,
    pending_gpus: known.pendingGpus,
    gpu_depth: known.gpuDepth,
  };
}

/** The queue in one line, for the explanation of a pool; `null` = unknown. */
export function sayQueue({ pending_jobs, queue_depth, queue }: ScalingView): string | null {
  if (queue === null) return null;
  const gpus =
    queue.counts === "gpus" ? ` (${queue.gpu_depth} GPUs, ${queue.pending_gpus} of them wait)` : "";
  const who = `by ${queue.source} ${queue.age_s} s ago`;
  const unit = queue.counts === null ? "; no autoscaler looks at it" : `; counted: ${queue.counts}`;
  return `queue: depth ${queue_depth}, ${pending_jobs} waiting${gpus}, ${who}${unit}`;
}

function decisionOf(
  { scaling }: PoolConfig,
  state: PoolState | undefined,
  status: ScalerStatus | null,
): DecisionView | null {
  const newest = status ?? state?.decision ?? null;
  if (scaling.autoscaler === null || newest === null) return null;
  const { verdict, because, at } = newest;
  return { verdict, because, at: new Date(at).toISOString() };
}

/** The autoscaler's decision in one line, for the explanation of a pool. */
export function sayDecision({ decision }: ScalingView): { at: string; text: string } | null {
  if (decision === null) return null;
  return { at: decision.at, text: `autoscaler: ${decision.verdict}: ${decision.because}` };
}

function cooldownOf(pool: PoolConfig, state: PoolState | undefined, now: number): number | null {
  const { autoscaler, cooldownMs } = pool.scaling;
  if (autoscaler === null) return null;
  const at = state?.lastScaleAt ?? null;
  if (at === null) return 0;
  return Math.ceil(Math.min(cooldownMs, Math.max(0, at + cooldownMs - now)) / 1_000);
}

/** 1 if demand is unknown but needed or once reported, 0 if known; `null` if not needed. */
export function staleness(
  pool: PoolConfig,
  state: PoolState | undefined,
  { server, now, seen = null }: Omit<From, "status">,
): 0 | 1 | null {
  const pushed = state?.demand ?? null;
  const heard = { pushed, seen };
  if (pushed === null && seen === null && !wantsDemand(pool.scaling.autoscaler)) return null;
  return knownQueue(heard, now, server.autoscaleIntervalMs) === null ? 1 : 0;
}
