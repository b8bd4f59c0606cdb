/**
 * What a control plane that serves does without, for readiness, the safety status, the metrics and
 * `navarch doctor`. It stays ready: agents and people still reach it.
 */
import type { DegradedView } from "../../../schema/api.ts";
import { impairmentOf } from "../../core/safety/impaired.ts";
import type { Reconciler } from "../../runtime/loop.ts";

type From = {
  reconciler: Pick<Reconciler, "lastSight">;
  metrics: { portProblem: string | null } | null;
};

export function viewDegraded({ reconciler, metrics }: From): DegradedView[] {
  const out: DegradedView[] = [];
  const port = metrics?.portProblem ?? null;
  if (port !== null) out.push({ part: "metrics_port", name: "", why: port });
  for (const [name, provider] of reconciler.lastSight()?.providers ?? []) {
    const why = impairmentOf(provider);
    if (why !== null) out.push({ part: "provider", name, why: `provider ${name}: ${why}` });
  }
  return out;
}
