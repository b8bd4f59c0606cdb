/** Ends machines that the cloud reports as gone or stopped. Pure. */
import { isLeaving, type Node } from "../../../schema/node.ts";
import { blindness, mayTake, pausedBy, type Veto } from "./admit.ts";
import type { Scope } from "./decide.ts";
import { terminating } from "./leave.ts";
import type { PlanBuilder } from "./node.ts";
import type { Cause } from "../say/cause.ts";

/** A veto, with what it stands in the way of. */
export const prefixed = (veto: Veto, why: Cause): Veto => {
  return { ...veto, why: { code: "but", why, veto: veto.why } };
};

/**
 * Ends what is left of an instance that the cloud reports as gone or stopped. A report that it was
 * terminated needs neither reliable observations nor a budget; anything less needs both, and a
 * node that a person cordoned or that its pool may not replace is left to people.
 */
export function lose(
  node: Node,
  scope: Scope,
  plan: PlanBuilder,
  why: Cause,
  purpose: "lost" | "failed" = "lost",
): void {
  const { sight, pool } = scope;
  if (isLeaving(node.phase) && node.phase.kind !== "draining") return;
  if (node.instance?.state !== "terminated") {
    const blind = blindness(sight);
    if (blind !== null) return plan.refuse(blind);
    const paused = pausedBy(node, scope);
    if (paused !== null) return plan.refuse(prefixed(paused, why));
    if (node.cordon.human !== null && node.order === null) {
      return plan.wait("human", { code: "lost_cordoned", why, by: node.cordon.human.by });
    }
    if (pool !== null && !pool.health.autoReplace) {
      return plan.wait("not_ours", { code: "lost_kept", why, pool: pool.name });
    }
    if (!mayTake(node, "replace", scope, plan)) return;
  }
  // A machine removed by others is no hardware failure, unless its hardware had reported one.
  const how = node.session && (node.session.definitive ? "replaced" : "lost");
  plan.advance(terminating(sight, purpose), "instance.lost", [why], how);
}
