/**
 * What people see of a pool's autoscaler: the queue as far as it is known, the rest of the cooldown
 * and what it is missing (`navarch/api.md` B3, B9). Pure.
 */
import type { Config, PoolConfig } from "../../schema/config.ts";
import type { PoolState } from "../../schema/node.ts";
import { demandProblem, freshDemand, wantsDemand } from "./demand.ts";
import type { Standing } from "./scaler.ts";

export type ScalingView = {
  pending_jobs: number | null;
  queue_depth: number | null;
  /** Whole seconds until the autoscaler may act again; `null` without an autoscaler. */
  cooldown_remaining_s: number | null;
  conditions: string[];
};

type From = {
  server: Config["server"];
  standing: Standing | null;
  /** Wall milliseconds. */
  now: number;
};

export function viewScaling(
  pool: PoolConfig,
  state: PoolState | undefined,
  { server, standing, now }: From,
): ScalingView {
  const { autoscaler } = pool.scaling;
  const interval = server.autoscaleIntervalMs;
  const demand = freshDemand(state?.demand ?? null, now, interval);
  const problem = demandProblem(autoscaler, state?.demand ?? null, now, interval);
  const conditions = problem === null ? [] : [problem];
  if (autoscaler !== null && standing?.lost === true) {
    conditions.push(`autoscaler: the size is held: ${standing.because}`);
  }
  return {
    pending_jobs: demand?.pendingJobs ?? null,
    queue_depth: demand?.queueDepth ?? null,
    cooldown_remaining_s: cooldownOf(pool, state, now),
    conditions,
  };
}

function cooldownOf(pool: PoolConfig, state: PoolState | undefined, now: number): number | null {
  const { autoscaler, cooldownMs } = pool.scaling;
  if (autoscaler === null) return null;
  const at = state?.lastScaleAt ?? null;
  if (at === null) return 0;
  return Math.ceil(Math.min(cooldownMs, Math.max(0, at + cooldownMs - now)) / 1_000);
}

/**
 * 1 if the demand that is wanted, or once was reported, is not known now; `null` if it is nobody's.
 */
export function staleness(
  pool: PoolConfig,
  state: PoolState | undefined,
  { server, now }: Omit<From, "standing">,
): 0 | 1 | null {
  const demand = state?.demand ?? null;
  if (demand === null && !wantsDemand(pool.scaling.autoscaler)) return null;
  return freshDemand(demand, now, server.autoscaleIntervalMs) === null ? 1 : 0;
}
