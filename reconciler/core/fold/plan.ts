/**
 * Applies a plan to a unit of work. Pure except for that. Facts that one action records count for
 * the next.
 */
import type { Action, Plan } from "../plan.ts";
import type { Config } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import { factKey } from "../../../schema/safety.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import type { Fleet } from "../fleet.ts";
import { factsAfter } from "../safety/record.ts";
import { type Lookup, restsAfterProof } from "../safety/rest.ts";
import { applyAction } from "./action.ts";
import { sayOutcome } from "../say/outcome.ts";

/** Cancels an open set-up of the node, because an action on the node replaces it. */
function withoutSetUp(node: Node | null, now: number, work: UnitOfWork): Node | null {
  const open = node?.operation == null ? null : work.operation(node.operation);
  if (node === null || open === null || open.payload.kind !== "bootstrap") return node;
  const message = sayOutcome({ code: "set_up_cancelled" });
  work.putOperation({ ...open, state: "abandoned", closedAt: now, message });
  return { ...node, operation: null, fence: node.fence + 1 };
}

/** Back-offs that end because a node of the place was verified. */
function provenBy(action: Action, node: Node | null, facts: Lookup): string[] {
  const isVerified = action.kind === "advance" && action.to.kind === "serving";
  if (!isVerified || node?.phase.kind !== "verifying" || node.offer === null) return [];
  return restsAfterProof(facts, node.offer);
}

export function applyPlan(
  plan: Plan,
  fleet: Fleet,
  config: Config,
  now: number,
  work: UnitOfWork,
): void {
  const facts = new Map(fleet.facts);
  for (const action of plan.actions) {
    const node = withoutSetUp(work.node(action.node), now, work);
    const pool = work.pool(action.kind === "admit" ? action.pool : (node?.pool ?? null));
    const applied = applyAction(action, node, pool, now);
    for (const fact of factsAfter(action, node, { ...fleet, facts }, config, now)) {
      facts.set(factKey(fact), fact);
      work.putFact(fact);
    }
    for (const key of provenBy(action, node, (one) => facts.get(one) ?? null)) {
      facts.delete(key);
      work.dropFact(key);
    }
    work.putNode(applied.node);
    if (applied.operation !== null) work.putOperation(applied.operation);
    if (applied.pool !== null) work.putPool(applied.pool);
    work.tell(applied.events);
  }
}
