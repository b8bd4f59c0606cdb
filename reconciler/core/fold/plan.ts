/**
 * A whole plan as rows of one transaction. Pure apart from the draft it fills. What the safety
 * machinery remembers of one action counts for the next.
 */
import type { Config } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import type { Plan } from "../../../schema/plan.ts";
import { factKey } from "../../../schema/safety.ts";
import type { Draft } from "../draft.ts";
import type { Fleet } from "../fleet.ts";
import { factsAfter } from "../safety/record.ts";
import { applyAction } from "./action.ts";

/** The node without the set-up that whatever happens to it now calls off. */
function withoutSetUp(node: Node | null, now: number, draft: Draft): Node | null {
  const open = node?.operation == null ? null : draft.operation(node.operation);
  if (node === null || open === null || open.payload.kind !== "bootstrap") return node;
  const message = "cancelled: its node leaves";
  draft.putOperation({ ...open, state: "abandoned", closedAt: now, message });
  return { ...node, operation: null, fence: node.fence + 1 };
}

export function applyPlan(
  plan: Plan,
  fleet: Fleet,
  config: Config,
  now: number,
  draft: Draft,
): void {
  const facts = new Map(fleet.facts);
  for (const action of plan.actions) {
    const node = withoutSetUp(draft.node(action.node), now, draft);
    const pool = draft.pool(action.kind === "admit" ? action.pool : (node?.pool ?? null));
    const applied = applyAction(action, node, pool, now);
    for (const fact of factsAfter(action, node, { ...fleet, facts }, config, now)) {
      facts.set(factKey(fact), fact);
      draft.putFact(fact);
    }
    draft.putNode(applied.node);
    if (applied.operation !== null) draft.putOperation(applied.operation);
    if (applied.pool !== null) draft.putPool(applied.pool);
    draft.tell(applied.events);
  }
}
