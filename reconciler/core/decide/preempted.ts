/**
 * A node whose cloud announced its end (docs/buying.md#interruptions): cordoned and drained until
 * then. Its end is certain, so no budget applies, and its pool buys another node at once. Pure.
 */
import type { InstanceFact, Node } from "../../../schema/node.ts";
import { isOwned } from "../fleet.ts";
import { noticeOf } from "../fold/notice.ts";
import { announced } from "../fold/trouble.ts";
import { blindness, pausedBy, vetoIf } from "./admit.ts";
import type { Scope } from "./decide.ts";
import { darkness } from "./kube.ts";
import { cordonedBy, drainPayload } from "./leave.ts";
import type { PlanBuilder } from "./node.ts";
import { type Cause, sayCause } from "../say/cause.ts";

type Notice = NonNullable<InstanceFact["notice"]>;

/**
 * The announced end of the node's instance. A maintenance is shown, and nothing is done; nor is it
 * for a machine that no cloud of this fleet sold, because nothing could replace it, or that was
 * bought on demand: clouds end no such machine, so a wrong list must not drain a fleet.
 */
export function preemptionOf(node: Node, now: number): Notice | null {
  if (node.instance === null || node.instance.market === "on-demand") return null;
  if (isOwned(node)) return null;
  const notice = noticeOf(node, now);
  return notice?.kind === "preemption" ? notice : null;
}

/** Time to end the pods and the machine before the cloud does. */
const MARGIN_MS = 10_000;

export function decidePreempted(node: Node, notice: Notice, scope: Scope, plan: PlanBuilder): void {
  const { sight } = scope;
  const veto =
    blindness(sight) ??
    vetoIf("blind", darkness(node, scope)) ??
    pausedBy(node, scope) ??
    cordonedBy(node);
  if (veto !== null) return plan.refuse(veto);
  const announcement = announced(node.instance?.provider, notice);
  const why: Cause = { code: "notice", notice: announcement };
  if (node.cordon.product === null) {
    return plan.effect({ kind: "cordon", why: sayCause(why), cause: "preempted" }, [why]);
  }
  const drain = drainPayload(node, scope, "preempted", null);
  if (notice.atMs === null) return plan.effect(drain, [why]);
  const leftMs = Math.max(1_000, notice.atMs - sight.now - MARGIN_MS);
  const gracePeriodMs = drain.gracePeriodMs < 0 ? -1 : Math.min(drain.gracePeriodMs, leftMs);
  const deadlineAt = sight.now + leftMs;
  const isShort = gracePeriodMs !== drain.gracePeriodMs;
  const cut: Cause = { code: "cut_short", seconds: Math.round(leftMs / 1_000) };
  plan.effect({ ...drain, deadlineAt, gracePeriodMs }, isShort ? [why, cut] : [why]);
}
