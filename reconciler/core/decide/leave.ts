/**
 * Decides how a node leaves: drained, terminated, then confirmed gone by the cloud. Pure. Nothing
 * is terminated before it is drained or its deadline passed, and nothing is forgotten before the
 * cloud confirms it: until then it is billed.
 */
import type { Node, Phase, Purpose } from "../../../schema/node.ts";
import type { Payload } from "../../../schema/operation.ts";
import type { PoolConfig } from "../../../schema/config.ts";
import { type DrainSight, verdictOfNode, workOn } from "../fleet.ts";
import { isReplaced } from "../safety/in-flight.ts";
import type { Scope } from "./decide.ts";
import { darkness, keptBy } from "./kube.ts";
import { isPutAside, pausedBy } from "./admit.ts";
import { lossOf, type PlanBuilder } from "./node.ts";
import { isResting } from "./rest.ts";
import { SWEEP_MS } from "./sweep.ts";

type At<K extends Phase["kind"]> = Extract<Phase, { kind: K }>;
type Draining = At<"draining">;

/**
 * A cloud that accepted a termination and still shows the instance running is asked again after
 * this.
 */
const ASK_AGAIN_MS = 60_000;

/** The only reason that proves a drained node empty. */
export const EMPTIED = "no work is left on it";

/** Defaults for a node whose pool is no longer configured. */
const DRAIN_DEFAULT = {
  timeoutMs: 1_800_000,
  fatalTimeoutMs: 600_000,
  gracePeriodMs: 300_000,
  force: false,
  unknownWaitMs: 60_000,
  onTimeout: "auto",
} as const;

/**
 * A person ordered it: the same steps without threshold and budget, but not while blind unless
 * forced.
 */
export function decideOrder(node: Node, scope: Scope, plan: PlanBuilder): void {
  const { order } = node;
  if (order === null) return;
  const { sight } = scope;
  if (sight.blind.length > 0 && !order.force) return plan.wait("blind", sight.blind.join("; "));
  const purpose = order.goal === "replace" ? "replace" : "operator";
  if (order.force && order.goal !== "drain" && node.instance !== null) {
    const to: Phase = {
      kind: "terminating",
      since: sight.now,
      purpose,
      accepted: null,
      notBefore: 0,
    };
    return plan.advance(to, "node.terminating", [`${order.why} (forced by ${order.by})`]);
  }
  plan.act({
    kind: "effect",
    node: node.id,
    payload: drainPayload(node, scope, purpose, order.timeoutMs),
    because: [order.why],
  });
}

export function drainPayload(
  node: Node,
  scope: Scope,
  purpose: Purpose,
  timeoutMs: number | null,
): Extract<Payload, { kind: "drain" }> {
  const drain = scope.pool?.drain ?? DRAIN_DEFAULT;
  const fatal = node.session?.definitive === true && verdictOfNode(node) === "unhealthy";
  const limit = timeoutMs ?? (fatal ? drain.fatalTimeoutMs : drain.timeoutMs);
  return {
    kind: "drain",
    purpose,
    deadlineAt: limit === 0 ? 0 : scope.sight.now + limit,
    gracePeriodMs: drain.gracePeriodMs,
    force: drain.force,
  };
}

/** The pool became smaller by this slot meanwhile, so nothing replaces the node. */
function isGivenUp(node: Node, { candidates, sight }: Scope): boolean {
  if (!candidates.has(node.id) || !isReplaced(node)) return false;
  return sight.blind.length === 0 && sight.frozen === null;
}

export function decideDraining(node: Node, phase: Draining, scope: Scope, plan: PlanBuilder): void {
  const { sight } = scope;
  if (isGivenUp(node, scope)) {
    const why = `its place is given up: pool ${node.pool} wants ${scope.desired} nodes`;
    return plan.advance({ ...phase, purpose: "scale_down" }, "node.draining", [why]);
  }
  if (phase.purpose === "surplus" && node.cordon.product === null) return cordonSurplus(node, plan);
  if (phase.drainedAt !== null && node.order !== null) {
    return decideDrained(node, phase, scope, plan);
  }
  const drained = (because: string): void =>
    plan.advance({ ...phase, drainedAt: sight.now }, "node.drained", [because]);
  const loss = lossOf(node, scope);
  const over = phase.drainedAt !== null;
  if (!over && loss !== null && node.health.silentSince !== null) return drained(loss);
  if (
    !over &&
    node.order?.force === true &&
    node.order.goal !== "drain" &&
    node.instance !== null
  ) {
    const to: Phase = {
      kind: "terminating",
      since: sight.now,
      purpose: purposeAfter(node, phase),
      accepted: null,
      notBefore: 0,
    };
    return plan.advance(to, "node.terminating", [`${node.order.why} (forced by ${node.order.by})`]);
  }
  const proof = (node.session?.definitive ?? false) && !isPutAside(node, scope);
  const well = verdictOfNode(node) === "healthy" || verdictOfNode(node) === "degraded";
  if (
    (phase.purpose === "replace" || phase.purpose === "repair") &&
    node.order === null &&
    node.session !== null &&
    !proof &&
    well
  ) {
    const because = ["recovered before the drain ended: the repair is cancelled"];
    return plan.advance({ kind: "suspect", since: sight.now }, "node.recovered", because);
  }
  if (phase.drainedAt !== null) return decideDrained(node, phase, scope, plan);
  const left = workOn(sight, node.id);
  const dark = left.kind === "dark" ? left.message : darkness(node, scope);
  if (dark !== null) {
    // No deadline replaces an observation: the cluster does not answer.
    return plan.wait("blind", dark);
  }
  if (left.kind === "empty" && left.seenAt >= phase.since) return drained(EMPTIED);
  // Time in which no pod could be evicted is not counted.
  const deadlineAt =
    left.kind === "busy" ? (left.deadlineAt ?? phase.deadlineAt) : phase.deadlineAt;
  if (phase.deadlineAt > 0 && sight.now >= Math.max(phase.deadlineAt, deadlineAt))
    return decideOverdue(node, left, scope, plan, drained);
  if (left.kind === "unknown") return decideUnknown(phase, left.forMs, scope, plan, drained);
  if (left.kind !== "busy") {
    return plan.wait("drain", "waits for a process list that is newer than its cordon", null);
  }
  if (phase.sawWork !== true)
    return plan.advance({ ...phase, sawWork: true }, "node.draining", [left.message]);
  // While a hold or a pause is active, no end can be predicted.
  const kept = node.order === null ? keptBy(node, scope) : null;
  if (kept !== null) return plan.wait("human", `${kept}; ${left.message}`);
  const isPaused = left.paused === true;
  const until = phase.deadlineAt > 0 && !isPaused ? Math.max(phase.deadlineAt, deadlineAt) : null;
  plan.wait("drain", left.message, until);
}

/** What runs on it is unknown: no scheduler, and an agent without a process list. */
function decideUnknown(
  phase: Draining,
  forMs: number,
  scope: Scope,
  plan: PlanBuilder,
  drained: (why: string) => void,
): void {
  const { sight } = scope;
  if (phase.sawWork === true) {
    const why = "work was seen on it, and whether it has ended is unknown";
    return plan.wait("drain", why, phase.deadlineAt > 0 ? phase.deadlineAt : null);
  }
  const { unknownWaitMs } = scope.pool?.drain ?? DRAIN_DEFAULT;
  // "Unknown" counts from when it could have been known: a restart is no drain.
  const waitedMs = Math.min(forMs, sight.now - phase.since);
  if (waitedMs >= unknownWaitMs) {
    return drained(`the work on it is unknown; waited ${Math.round(unknownWaitMs / 1000)} s`);
  }
  plan.wait("drain", "the work on it is unknown", sight.now + unknownWaitMs - waitedMs);
}

function cordonSurplus(node: Node, plan: PlanBuilder): void {
  const why = "no slot wants this instance";
  const payload = { kind: "cordon", why } as const;
  plan.act({ kind: "effect", node: node.id, payload, because: [why] });
}

/** Whether the node ends at its drain's deadline although work is left on it. */
export function endsAtDeadline(node: Node, pool: PoolConfig | null): boolean {
  const rule = pool?.drain.onTimeout ?? DRAIN_DEFAULT.onTimeout;
  return rule === "terminate" || (rule === "auto" && verdictOfNode(node) === "unhealthy");
}

function decideOverdue(
  node: Node,
  left: DrainSight,
  scope: Scope,
  plan: PlanBuilder,
  drained: (why: string) => void,
): void {
  const what = left.kind === "busy" ? left.message : "the work on it is unknown";
  if (endsAtDeadline(node, scope.pool)) {
    return drained(`its drain deadline passed and its work is cut off: ${what}`);
  }
  const why = "its drain deadline passed with work still on it";
  plan.advance(
    { kind: "held", since: scope.sight.now, heldBy: "navarch", why },
    "node.held",
    [why],
    "held",
  );
}

function decideDrained(node: Node, phase: Draining, scope: Scope, plan: PlanBuilder): void {
  const { sight } = scope;
  // Whatever it was drained for: a drain order wants it empty and kept.
  if (node.order?.goal === "drain" || (phase.purpose === "operator" && node.order === null)) {
    return plan.wait("human", "drained as ordered: uncordon it, terminate it or replace it");
  }
  const repairs = phase.purpose === "replace" || phase.purpose === "repair";
  if (node.cordon.human !== null && node.order === null && repairs) {
    return plan.wait(
      "human",
      `cordoned by ${node.cordon.human.by}: uncordon it, or order its replacement`,
    );
  }
  const paused = pausedBy(node, scope);
  if (paused !== null) return plan.wait("human", paused.message, paused.until);
  if (sight.blind.length > 0 && node.order?.force !== true)
    return plan.wait("blind", sight.blind.join("; "));
  if (node.instance === null) return decideEmptied(node, phase, scope, plan);
  if (phase.purpose === "repair" && node.order === null) {
    const { provider, id } = node.instance;
    const bootId = node.agent?.bootId ?? null;
    return plan.act({
      kind: "effect",
      node: node.id,
      payload: { kind: "reboot", provider, instanceId: id, bootId },
      because: ["drained for its reboot"],
    });
  }
  const to: Phase = {
    kind: "terminating",
    since: sight.now,
    purpose: purposeAfter(node, phase),
    accepted: null,
    notBefore: 0,
  };
  plan.advance(to, "node.terminating", ["drained"]);
}

/** Drained, and nothing to terminate: Navarch did not buy the machine. */
function decideEmptied(node: Node, phase: Draining, scope: Scope, plan: PlanBuilder): void {
  const verdict = verdictOfNode(node);
  const check = node.health.lastCheckAt ?? 0;
  const isWell = (verdict === "healthy" || verdict === "degraded") && check >= phase.since;
  if (phase.purpose === "repair" && node.order === null && isWell) {
    const because = ["its checks are clean again: it was repaired"];
    return plan.advance({ kind: "suspect", since: scope.sight.now }, "node.recovered", because);
  }
  const gone = `\`navarch forget ${node.id}\` once the machine is gone`;
  const next = phase.purpose === "repair" ? "repair it: it comes back by itself" : "uncordon it";
  plan.wait("not_ours", `drained, and this fleet did not buy it: ${next}, or ${gone}`);
}

/** An order that came while it was emptied for a repair overtakes the repair. */
function purposeAfter({ order }: Node, { purpose }: Draining): Purpose {
  if (purpose !== "repair") return purpose;
  return order?.goal === "replace" ? "replace" : "operator";
}

export function decideTerminating(
  node: Node,
  phase: At<"terminating">,
  scope: Scope,
  plan: PlanBuilder,
): void {
  const { sight } = scope;
  const { instance } = node;
  if (isGivenUp(node, scope)) {
    const why = `its place is given up: pool ${node.pool} wants ${scope.desired} nodes`;
    return plan.advance({ ...phase, purpose: "scale_down" }, "node.terminating", [why]);
  }
  const gone = (because: string): void =>
    plan.advance(
      { kind: "gone", since: sight.now, purpose: phase.purpose },
      "node.terminated",
      [because],
      node.session === null ? null : "replaced",
    );
  if (instance === null) return gone("nothing was bought for it");
  if (instance.state === "terminated")
    return gone(`the cloud confirms the end of instance ${instance.id}`);
  const loss = lossOf(node, scope);
  // Absence counts only after the termination was requested: a listing may be wrong, and an
  // instance forgotten by mistake is billed for ever.
  if (loss !== null && instance.state !== "stopped" && phase.accepted !== null) return gone(loss);
  if (phase.accepted !== null && sight.now - phase.accepted < ASK_AGAIN_MS) {
    return plan.wait(
      "confirmation",
      `instance ${instance.id} is ${instance.state}, still billed`,
      phase.accepted + ASK_AGAIN_MS,
    );
  }
  const paused = pausedBy(node, scope);
  if (paused !== null) return plan.wait("human", paused.message, paused.until);
  if (isResting(phase.notBefore, sight.now))
    return plan.wait("backoff", "the last ask to end it was refused", phase.notBefore);
  if (sight.blind.length > 0 && node.order?.force !== true)
    return plan.wait("blind", sight.blind.join("; "));
  const provider = sight.providers.get(instance.provider);
  if (provider === undefined || provider.unavailable !== null) {
    return plan.wait(
      "provider",
      `${instance.provider}: ${provider?.unavailable ?? "unknown"}; ${instance.id} is billed`,
    );
  }
  if (phase.purpose === "surplus" && !scope.sweep.take(node)) {
    return plan.wait("budget", scope.sweep.tell(), sight.now + SWEEP_MS);
  }
  plan.act({
    kind: "effect",
    node: node.id,
    payload: { kind: "terminate", provider: instance.provider, instanceId: instance.id },
    because: [phase.purpose],
  });
}
