/**
 * What should become of one node, phase by phase. Pure. The order of a removal is fixed here and
 * nowhere else: evidence → cordon → drain → terminate → replacement; each step starts only after
 * the one before it is confirmed in the node itself.
 */
import type { Action } from "../../../schema/action.ts";
import type { Node, Phase } from "../../../schema/node.ts";
import { ABSENT_LISTINGS_MIN } from "../fold/listing.ts";
import type { Plan, WaitReason } from "../../../schema/plan.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import { mirrorOf, refusalOf } from "./kube.ts";
import { isResting } from "./rest.ts";
import type { Scope } from "./decide.ts";
import { decideBooting, decideRequested, decideVerifying } from "./arrive.ts";
import { decideRepairing } from "./ladder.ts";
import { decideDraining, decideOrder, decideTerminating } from "./leave.ts";
import { decideReplacing, decideServing, decideSuspect } from "./repair.ts";

/**
 * How the functions of this folder answer: one of these for each node, and never more than one
 * action.
 */
export type PlanBuilder = {
  act(action: Action): void;
  wait(reason: WaitReason, message: string, until?: number | null): void;
  advance(
    to: Phase,
    event: Extract<Action, { kind: "advance" }>["event"],
    because: string[],
    session?: Extract<Action, { kind: "advance" }>["session"],
  ): void;
};

export function planFor(node: Node, whole: Plan): PlanBuilder {
  return {
    act: (action) => void whole.actions.push(action),
    wait: (reason, message, until = null) =>
      void whole.waits.push({ node: node.id, pool: node.pool, reason, message, until }),
    advance: (to, event, because, session = null) =>
      void whole.actions.push({ kind: "advance", node: node.id, to, event, because, session }),
  };
}

export function decideNode(node: Node, scope: Scope, whole: Plan): void {
  const plan = planFor(node, whole);
  const { phase } = node;
  if (node.operation !== null) {
    const operation = scope.fleet.operations.get(node.operation);
    // A set-up takes minutes, and whoever wants the node gone does not wait for it.
    if (operation?.payload.kind === "bootstrap" && phase.kind === "bootstrapping")
      return decideBooting(node, phase, scope, plan);
    const what =
      operation === undefined ? node.operation : `${operation.payload.kind} is open since its ask`;
    const more = operation?.message ? `: ${operation.message}` : "";
    return plan.wait(
      "operation",
      `${what}${more}`,
      operation?.notBefore ? operation.notBefore : null,
    );
  }
  if (isResting(node.restUntil, scope.sight.now))
    return plan.wait("backoff", sayRest(node, scope.sight.now), node.restUntil);
  const mirror = mirrorOf(node, scope);
  if (mirror !== null) return plan.act(mirror);
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
      return plan.wait("human", `held by ${phase.heldBy}: ${phase.why}`);
    case "gone":
      return;
    default:
      return unreachable(phase);
  }
}

function sayRest({ kube }: Node, now: number): string {
  const refusal = kube === null ? null : refusalOf(kube, now);
  if (refusal === null) return "the last effect on it was refused";
  return `Kubernetes does not ${refusal.what} it: ${refusal.message}`;
}

/**
 * What the cloud says against the instance, or `null`: the second witness that silence needs (law
 * 9).
 */
export function lossOf(node: Node, scope: Scope): string | null {
  const fact = node.instance;
  if (fact === null) return null;
  if (fact.state === "terminated") return `the cloud reports instance ${fact.id} as terminated`;
  if (fact.state === "stopped") return `the cloud reports instance ${fact.id} as stopped`;
  if (fact.state === "terminating" && node.phase.kind !== "terminating") {
    return `instance ${fact.id} is being ended by someone else`;
  }
  if (fact.absentSince === null || (fact.absentListings ?? 0) < ABSENT_LISTINGS_MIN) return null;
  // Absent twice, a settle apart (docs/reference/safety.md, I2): one missing row is a list's bad
  // day.
  const settleMs = scope.sight.providers.get(fact.provider)?.settleMs ?? 0;
  const least = node.phase.kind === "terminating" ? ABSENT_ENDED_MS : ABSENT_LOST_MS;
  if (scope.sight.now - fact.absentSince >= Math.max(settleMs, least)) {
    return `the cloud no longer lists instance ${fact.id}`;
  }
  return null;
}

/**
 * At least this long absent, whatever the provider's settle time: short for an instance whose end
 * was asked for, long for one that is to be given up on a list's word alone.
 */
const ABSENT_ENDED_MS = 2_000;
const ABSENT_LOST_MS = 60_000;
