/**
 * Demand as somebody reported it, and whether it still says anything (promises N58, N64). Pure. A
 * report older than three evaluations is unknown: losing the source must never look like an empty
 * queue.
 */
import type { Autoscaler } from "../../schema/config.ts";
import type { PoolState } from "../../schema/node.ts";
import { flatten } from "./recommend.ts";

export type Demand = NonNullable<PoolState["demand"]>;

/** Evaluations after which demand expires (`navarch/api.md` B3). */
const INTERVALS = 3;

export function expiryMs(autoscaleIntervalMs: number): number {
  return INTERVALS * autoscaleIntervalMs;
}

/** The demand if it still counts at `now`, else `null`; a clock set back does not make it young. */
export function freshDemand(
  demand: Demand | null,
  now: number,
  autoscaleIntervalMs: number,
): Demand | null {
  if (demand === null) return null;
  return Math.abs(now - demand.observedAt) > expiryMs(autoscaleIntervalMs) ? null : demand;
}

/** Whether any part of the autoscaler looks at the queue. */
export function wantsDemand(autoscaler: Autoscaler | null): boolean {
  return autoscaler !== null && flatten(autoscaler).some((one) => one.type === "queue");
}

/** What is wrong with the pool's demand, for its conditions; `null` = nothing. */
export function demandProblem(
  autoscaler: Autoscaler | null,
  demand: Demand | null,
  now: number,
  autoscaleIntervalMs: number,
): string | null {
  if (!wantsDemand(autoscaler)) return null;
  if (demand === null) return "demand: nobody has reported the queue yet; it is unknown, not empty";
  if (freshDemand(demand, now, autoscaleIntervalMs) !== null) return null;
  const at = new Date(demand.observedAt).toISOString();
  const last = `the last report (queue depth ${demand.queueDepth}) is of ${at}`;
  return `demand: the queue is unknown, not empty: ${last}`;
}
