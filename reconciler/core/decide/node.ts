/**
 * Decides what becomes of one node, phase by phase. Pure. The order of a removal is fixed here and
 * nowhere else: evidence → cordon → drain → terminate → replacement; each step starts only after
 * the node itself confirms the one before it.
 */
import type { Action, Plan } from "../plan.ts";
import type { Node, Phase } from "../../../schema/node.ts";
import type { Payload } from "../../../schema/operation.ts";
import { ABSENT_LISTINGS_MIN } from "../provider.ts";
import type { WaitReason } from "../../../schema/plan.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import type { Veto } from "./admit.ts";
import { mirrorOf, refusalOf } from "./kube.ts";
import { isResting } from "../turn/backoff.ts";
import { slurmChangeOf, withSlurm } from "./slurm.ts";
import { strandedCall, strandedWhy } from "../reach.ts";
import { heldCall } from "./may-call.ts";
import type { Scope } from "./decide.ts";
import { decideBooting, decideRequested, decideVerifying } from "./arrive.ts";
import { decideRepairing } from "./ladder.ts";
import { decideDraining, decideOrder, decideTerminating } from "./leave.ts";
import { decideReplacing, decideServing, decideSuspect } from "./repair.ts";
import type { Cause } from "../say/cause.ts";
import type { Loss } from "../say/loss.ts";
import type { WaitCause } from "../say/wait.ts";

type Advance = Extract<Action, { kind: "advance" }>;

/** Adds the answer for one node to the plan: one call for each node. */
export type PlanBuilder = {
  effect(payload: Payload, because: Cause[]): void;
  wait(reason: WaitReason, why: WaitCause, until?: number | null): void;
  refuse(veto: Veto): void;
  advance(to: Phase, event: Advance["event"], because: Cause[], session?: Advance["session"]): void;
};

function planFor(node: Node, scope: Scope, { actions, waits }: Plan): PlanBuilder {
  const { id, pool } = node;
  const refuse = (veto: Veto): void => void waits.push({ node: id, pool, ...veto });
  return {
    effect: (given, because) => {
      const payload = withSlurm(given, node, scope);
      actions.push({ kind: "effect", node: id, payload, because });
    },
    wait: (reason, why, until = null) => refuse({ reason, why, until }),
    refuse,
    advance: (to, event, because, session = null) =>
      void actions.push({ kind: "advance", node: id, to, event, because, session }),
  };
}

export function decideNode(node: Node, scope: Scope, whole: Plan): void {
  const plan = planFor(node, scope, whole);
  const { phase } = node;
  const { now } = scope.sight;
  if (node.worker !== null) {
    return plan.wait("not_ours", { code: "worker", pool: node.worker.pool });
  }
  if (node.operation !== null) {
    const operation = scope.fleet.operations.get(node.operation);
    // A set-up takes minutes, and an order to end the node does not wait for it.
    if (operation?.payload.kind === "bootstrap" && phase.kind === "bootstrapping")
      return decideBooting(node, phase, scope, plan);
    const open = { id: node.operation, kind: operation?.payload.kind ?? null };
    const lost = operation === undefined ? null : strandedCall(operation, scope.sight.providers);
    if (lost !== null) {
      return plan.wait("provider", { code: "operation_stranded", ...open, why: lost });
    }
    const held = operation === undefined ? null : heldCall(operation, node, scope.sight);
    if (held !== null) return plan.wait("human", { code: "operation_held", ...open, why: held });
    const why = { code: "operation", ...open, said: operation?.message ?? null } as const;
    return plan.wait("operation", why, operation?.notBefore || null);
  }
  if (isResting(node.restUntil, now))
    return plan.wait("backoff", restOf(node, now), node.restUntil);
  const mirror = mirrorOf(node, scope) ?? slurmChangeOf(node, scope);
  if (mirror !== null) return plan.effect(mirror.payload, mirror.because);
  switch (phase.kind) {
    case "requested":
      return decideRequested(node, phase, scope, plan);
    case "booting":
    case "bootstrapping":
      return decideBooting(node, phase, scope, plan);
    case "verifying":
      return decideVerifying(node, phase, scope, plan);
    case "serving":
      return decideServing(node, scope, plan);
    case "suspect":
      return decideSuspect(node, scope, plan, whole);
    case "repairing":
      return decideRepairing(node, phase, scope, plan);
    case "replacing":
      return decideReplacing(node, phase, scope, plan);
    case "draining":
      return decideDraining(node, phase, scope, plan);
    case "terminating":
      return decideTerminating(node, phase, scope, plan);
    case "held":
      if (node.order !== null && node.order.goal !== "drain") return decideOrder(node, scope, plan);
      return plan.wait("human", { code: "held", by: phase.heldBy, why: phase.why });
    case "gone":
      return;
    default:
      return unreachable(phase);
  }
}

function restOf({ kube }: Node, now: number): WaitCause {
  const refusal = kube === null ? null : refusalOf(kube, now);
  if (refusal === null) return { code: "effect_refused" };
  return { code: "kube_refuses", what: refusal.what, said: refusal.message };
}

/**
 * The cloud's evidence that the instance is gone or stopped, or `null`: the second witness that
 * silence needs (law 9).
 */
export function lossOf(node: Node, scope: Pick<Scope, "sight">): Loss | null {
  const fact = node.instance;
  if (fact === null) return null;
  if (fact.state === "terminated" || fact.state === "stopped") {
    return { code: "instance_is", id: fact.id, state: fact.state };
  }
  if (fact.state === "terminating" && node.phase.kind !== "terminating") {
    return { code: "ended_by_others", id: fact.id };
  }
  if (strandedWhy(node, scope.sight.providers) !== null) return null;
  if (fact.absentSince === null || (fact.absentListings ?? 0) < ABSENT_LISTINGS_MIN) return null;
  // Absent twice, a settle time apart (docs/reference/safety.md, I2): one list may omit a row.
  const settleMs = scope.sight.providers.get(fact.provider)?.settleMs ?? 0;
  const least = node.phase.kind === "terminating" ? ABSENT_ENDED_MS : ABSENT_LOST_MS;
  if (scope.sight.now - fact.absentSince < Math.max(settleMs, least)) return null;
  return { code: "not_listed", id: fact.id };
}

/**
 * Least time of absence, whatever the settle time: short after an accepted termination, long where
 * a list alone would give the instance up.
 */
const ABSENT_ENDED_MS = 2_000;
const ABSENT_LOST_MS = 60_000;
