/**
 * Facts that follow from an action: a confirmed hardware failure counts in the learned rate and
 * quarantines its GPUs; a returned quarantined GPU is counted. Pure. Written in the transaction of
 * the action.
 */
import type { Action } from "../plan.ts";
import type { Config } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import type { Fact } from "../../../schema/safety.ts";
import type { Fleet } from "../fleet.ts";
import { quarantinedIn, quarantinedOf, refusedAgain } from "./quarantined-hardware.ts";
import { countFailure } from "./rate.ts";
import { placeOfGuard, restAfter } from "./rest.ts";
import { FLEET, sizesOf } from "./scope.ts";
import { type Cause, sayCauses } from "../say/cause.ts";

/** `node` as it was before the action; `fleet.facts` with the plan's earlier facts. */
export function factsAfter(
  action: Action,
  node: Node | null,
  fleet: Fleet,
  config: Config,
  now: number,
): Fact[] {
  if (action.kind !== "advance" || node === null) return [];
  if (action.to.kind === "terminating" && action.to.purpose === "lemon") {
    const lemon = quarantinedIn(node, fleet, now);
    const again = lemon === null ? [] : [refusedAgain(lemon, node)];
    return [...again, ...restOf(node, action.because, fleet.facts, now)];
  }
  // The session ends with this action, also if a smaller pool no longer needs the slot.
  const ends =
    action.to.kind === "terminating" &&
    node.phase.kind !== "terminating" &&
    (action.to.purpose === "replace" || action.to.purpose === "scale_down");
  if (!ends || node.session === null || !node.session.definitive) return [];
  const stored = fleet.facts.get("rate");
  const nodes = sizesOf(fleet, config).get(FLEET)?.slots ?? 0;
  const rate = stored?.kind === "rate" ? stored : null;
  const counted = countFailure(rate, config.safety.breaker, nodes, now);
  return [counted, ...quarantinedOf(node, fleet, now)];
}

/** A place that returned quarantined hardware rests as after a stock-out. */
function restOf(node: Node, because: Cause[], facts: Fleet["facts"], now: number): Fact[] {
  const { offer, createdAt } = node;
  if (offer === null) return [];
  const message = sayCauses(because);
  const about = { scope: placeOfGuard(offer), askedAt: createdAt, message };
  const refusal = { ...about, class: "lemon", retryAfterMs: null, isLate: true } as const;
  return [restAfter((key) => facts.get(key) ?? null, refusal, now)];
}
