/**
 * What an action teaches: a confirmed hardware failure counts in the learned rate and puts its GPUs
 * into quarantine; a lemon that came back counts again. Pure; written in the transaction of
 * the action itself, so that a crash neither loses nor repeats it.
 */
import type { Action } from "../../../schema/action.ts";
import type { Config } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import type { Fact } from "../../../schema/safety.ts";
import type { Fleet } from "../fleet.ts";
import { quarantinedIn, quarantinedOf, refusedAgain } from "./quarantined-hardware.ts";
import { countFailure } from "./rate.ts";
import { FLEET, sizesOf } from "./scope.ts";

/** `node` is the action's subject as it was before; `facts` what the same plan wrote already. */
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
    return lemon === null ? [] : [refusedAgain(lemon, node)];
  }
  // The drain is over and the session is about to end; nobody may want its place any more.
  const ends =
    action.to.kind === "terminating" &&
    node.phase.kind !== "terminating" &&
    (action.to.purpose === "replace" || action.to.purpose === "scale_down");
  if (!ends || node.session === null || !node.session.definitive) return [];
  const stored = fleet.facts.get("rate");
  const nodes = sizesOf(fleet, config).get(FLEET)?.slots ?? 0;
  const rate = stored?.kind === "rate" ? stored : null;
  return [countFailure(
    rate,
    config.safety.breaker,
    nodes,
    now,
  ), ...quarantinedOf(node, fleet, now)];
}
