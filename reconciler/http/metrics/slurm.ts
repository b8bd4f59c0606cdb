/** The gauges of Slurm as the second scheduler; without it their heads alone. */
import type { SinkOwner } from "../../../schema/slurm-view.ts";
import type { Reconciler } from "../../runtime/loop.ts";
import { viewSinks } from "../view/slurm.ts";
import { differences } from "../view/slurm-cluster.ts";
import { Series, single } from "./series.ts";

export function formatSlurm(reconciler: Reconciler): Uint8Array[] {
  const slurm = reconciler.slurm();
  const nodes = new Series("navarch_slurm_nodes");
  const counts = new Map<SinkOwner, number>();
  let ambiguous = 0;
  if (slurm !== null) {
    for (const owner of ["none", "own", "foreign", "slurm", "unknown"] as const) {
      counts.set(owner, 0);
    }
    for (const node of reconciler.fleet().nodes.values()) {
      if (node.phase.kind === "gone") continue;
      const live = slurm.of(node);
      const owner = viewSinks(node, live, false).slurm;
      if (owner !== null) counts.set(owner, (counts.get(owner) ?? 0) + 1);
      if (live.ambiguous !== null) ambiguous += 1;
    }
  }
  for (const [owner, count] of counts) nodes.add({ owner }, count);
  const found = differences(reconciler);
  const unknown = found?.unknown.reduce((sum, { names }) => sum + names.length, 0) ?? null;
  const { ageMs = null, dark = null } = slurm?.sink.status() ?? {};
  const of = <T>(value: T): T | null => (slurm === null ? null : value);
  return [
    single("navarch_slurm_dark", of(dark === null ? 0 : 1)),
    single("navarch_slurm_list_age_seconds", ageMs === null ? null : ageMs / 1_000),
    nodes,
    single("navarch_slurm_ambiguous_nodes", of(ambiguous)),
    single("navarch_slurm_unknown_names", unknown),
    single("navarch_slurm_unclaimed_nodes", found?.unclaimed.length ?? null),
    single("navarch_slurm_pod_replicas", slurm?.pods?.replicas ?? null),
    single("navarch_slurm_pods_needed", slurm?.pods?.needed?.to ?? null),
  ].map((series) => series.take());
}
