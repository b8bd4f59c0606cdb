/** Counts, health and utilisation of the cluster for the console's cards. Pure. */
import type { ClusterHealth, PhaseCounts, Utilisation } from "../../../schema/console/cluster.ts";

const COUNTED: Readonly<Record<string, Exclude<keyof PhaseCounts, "total" | "unknown">>> = {
  Running: "running",
  Pending: "pending",
  Failed: "failed",
  Succeeded: "succeeded",
};

/** A phase that is not listed counts as unknown. */
export function countPhases(pods: Iterable<{ phase: string }>): PhaseCounts {
  const counts = { total: 0, running: 0, pending: 0, failed: 0, succeeded: 0, unknown: 0 };
  for (const { phase } of pods) {
    counts.total += 1;
    // `hasOwn`, because the phase is the cluster's text and objects inherit members.
    const key = Object.hasOwn(COUNTED, phase) ? COUNTED[phase] : undefined;
    counts[key ?? "unknown"] += 1;
  }
  return counts;
}

/** A failed pod may be a Job's and stay for days: only a tenth of all pods counts. */
const FAILED_SHARE = 0.1;
const NOT_READY_SHARE = 0.5;

export function healthOf(
  { failed, pending, total }: Pick<PhaseCounts, "failed" | "pending" | "total">,
  nodes: { total: number; notReady: number },
): ClusterHealth {
  const isMostDown = nodes.notReady > 0 && nodes.notReady >= nodes.total * NOT_READY_SHARE;
  if (isMostDown || (failed > 1 && failed > total * FAILED_SHARE)) return "unhealthy";
  return nodes.notReady > 0 || failed > 0 || pending > 0 ? "degraded" : "healthy";
}

/** `used`: measured; `null` = nothing measures it. */
export function utilisation(
  allocatable: number | null,
  requested: number | null,
  used: number | null = null,
): Utilisation {
  const basis = used === null ? "requested" : "used";
  const taken = used ?? requested;
  const isKnown = allocatable !== null && allocatable > 0 && taken !== null;
  const percent = isKnown ? Math.round((taken / allocatable) * 1_000) / 10 : null;
  return { allocatable, requested, ...(used === null ? {} : { used }), percent, basis };
}
