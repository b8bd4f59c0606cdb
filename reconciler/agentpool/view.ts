/** What people and metrics see of one pool. Pure. */
import type { SlotClaim, Worker } from "../../schema/agentpool.ts";
import type { AgentPool } from "../core/agentpool/model.ts";
import type { PoolEventKind, PoolView } from "../core/agentpool/service.ts";
import type { PoolStep } from "../core/agentpool/step-model.ts";

export type LastEvents = PoolView["last"];

export function viewOf(from: {
  pool: AgentPool;
  step: PoolStep;
  workers: readonly Worker[];
  claims: readonly SlotClaim[];
  last: LastEvents;
  slotsOf(worker: Worker): number;
}): PoolView {
  const { pool, step, workers, claims, last, slotsOf } = from;
  const placed = Map.groupBy(claims, ({ worker }) => worker);
  return {
    ...{ pool, status: step.status, claims, last },
    workers: workers.map((worker) => ({
      worker,
      state: step.states.get(worker.name) ?? "Pending",
      claims: placed.get(worker.name)?.length ?? 0,
      slots: slotsOf(worker),
    })),
  };
}

/** When things last happened, after this step; `now` is wall milliseconds. */
export function lastAfter(before: LastEvents, step: PoolStep, now: number): LastEvents {
  const last: Partial<Record<PoolEventKind, number>> = { ...before };
  if (step.effects.some(({ kind }) => kind === "create")) last.scale_up_attempt = now;
  const error = step.status.lastAllocationError;
  if (error === null) return last;
  last.allocation_error = error.at;
  if (error.reason === "ResourceExhausted" || error.reason === "QuotaExceeded") {
    last.resource_exhausted = error.at;
  }
  if (error.reason === "StartupFailure") last.startup_failure = error.at;
  return last;
}
