/**
 * Decides what jobs in Slurm get at the deadline of their node's drain (`drain.slurm_jobs`), and
 * says it before. Pure. They are told once in a drain, only while Navarch's own drain is set in
 * Slurm, and then have the drain's grace period.
 */
import type { Node, Phase } from "../../../schema/node.ts";
import type { Payload } from "../../../schema/operation.ts";
import type { PoolConfig } from "../../../schema/config.ts";
import type { DrainSight, Sight } from "../fleet.ts";
import type { WaitCause } from "../say/wait.ts";

type Draining = Extract<Phase, { kind: "draining" }>;
type Busy = Extract<DrainSight, { kind: "busy" }>;
type From = { pool: PoolConfig | null; sight: Pick<Sight, "slurm"> };

/** `drain.grace_period: -1` is each pod's own, and jobs have none. */
const GRACE_MS = 300_000;

export type JobEnd = { at: number; payload: Payload };

function graceOf(pool: PoolConfig | null): number {
  const given = pool?.drain.gracePeriodMs ?? GRACE_MS;
  return given < 0 ? GRACE_MS : given;
}

/** The order to its jobs and when it is due; `null` = none is due in this drain. */
export function jobEndOf(
  node: Node,
  phase: Draining,
  { jobs = [] }: Busy,
  deadlineAt: number,
  { pool, sight }: From,
): JobEnd | null {
  const { slurm } = node;
  const rule = pool?.drain.slurmJobs ?? "leave";
  if (pool === null || rule === "leave" || jobs.length === 0) return null;
  if (phase.jobsToldAt !== undefined || slurm === null || sight.slurm === null) return null;
  if (slurm.owner !== "own" || !slurm.drain || !sight.slurm.mirrorsCordon) return null;
  const signal = rule === "signal" ? pool.drain.slurmSignal : null;
  const payload = { kind: "end_jobs", slurm: slurm.name, signal, jobs } as const;
  // The cloud ends a preempted machine at the deadline, whatever runs on it.
  const isPreempted = phase.purpose === "preempted";
  const at = isPreempted ? Math.max(phase.since, deadlineAt - graceOf(pool)) : deadlineAt;
  return { at, payload };
}

/** When the drain is overdue: its deadline, or the end of the grace of jobs that were told. */
export function overdueAt(phase: Draining, deadlineAt: number, pool: PoolConfig | null): number {
  const { jobsToldAt, purpose } = phase;
  if (jobsToldAt === undefined || purpose === "preempted") return deadlineAt;
  return Math.max(deadlineAt, jobsToldAt + graceOf(pool));
}

/** What it waits for, and what the end of the wait does to jobs in Slurm. */
export function jobWait(
  { message: work, jobs = [] }: Busy,
  end: JobEnd | null,
  { pool, isCut, isTold }: { pool: PoolConfig | null; isCut: boolean; isTold: boolean },
): WaitCause {
  if (jobs.length === 0) return { code: "work", work };
  const signal = end?.payload.kind === "end_jobs" ? end.payload.signal : null;
  const due = end === null ? null : { signal, graceSeconds: Math.round(graceOf(pool) / 1_000) };
  return { code: "jobs", work, isTold, isCut, end: due };
}
