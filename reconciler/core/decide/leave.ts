/**
 * Decides how a node leaves: drained, terminated, then confirmed gone by the cloud. Pure. Nothing
 * is terminated before it is drained or its deadline passed, and nothing is forgotten before the
 * cloud confirms it: until then it is billed.
 */
import type { Node, Phase, Purpose } from "../../../schema/node.ts";
import type { Payload } from "../../../schema/operation.ts";
import type { PoolConfig } from "../../../schema/config.ts";
import { type DrainSight, isOwned, isWell, type Sight, verdictOfNode, workOn } from "../fleet.ts";
import { reopened } from "../fold/call-off.ts";
import { sayEndRefused } from "../fold/ending.ts";
import { isReplaced } from "../safety/in-flight.ts";
import type { Scope } from "./decide.ts";
import { jobEndOf, overdueAt, sayJobEnd } from "./job-end.ts";
import { darkness } from "./kube.ts";
import { keptBy } from "../kubernetes/hold.ts";
import {
  blindness,
  hasSuspendedFinding,
  heldByCloud,
  pausedBy,
  type Veto,
  vetoIf,
} from "./admit.ts";
import { decideOwnedRepair } from "./ladder.ts";
import { lossOf, type PlanBuilder } from "./node.ts";
import { isResting } from "../turn/backoff.ts";
import { reopenedInSlurm, slurmDarkness } from "./slurm.ts";
import { SWEEP_MS } from "./sweep.ts";

export type PhaseOf<K extends Phase["kind"]> = Extract<Phase, { kind: K }>;
type Draining = PhaseOf<"draining">;

/** After this, a termination is requested again if the cloud accepted it and nothing ended. */
const ASK_AGAIN_MS = 60_000;

/** Defaults for a node whose pool is no longer configured. */
const DRAIN_DEFAULT = {
  timeoutMs: 1_800_000,
  fatalTimeoutMs: 600_000,
  gracePeriodMs: 300_000,
  force: false,
  unknownWaitMs: 60_000,
  onTimeout: "auto",
} as const;

export function terminating({ now }: Sight, purpose: Purpose): PhaseOf<"terminating"> {
  return { kind: "terminating", since: now, purpose, accepted: null, notBefore: 0 };
}

/** Carries out a person's order without threshold and budget; while blind only a forced one. */
export function decideOrder(node: Node, scope: Scope, plan: PlanBuilder): void {
  const { order } = node;
  if (order === null) return;
  const { sight } = scope;
  const blind = order.force ? null : blindness(sight);
  if (blind !== null) return plan.refuse(blind);
  const purpose = order.goal === "replace" ? "replace" : "operator";
  const forced = forcedEnd(node);
  if (forced !== null) {
    return plan.advance(terminating(sight, purpose), "node.terminating", [forced]);
  }
  plan.effect(drainPayload(node, scope, purpose, order.timeoutMs), [order.why]);
}

/** The reason of an order that ends the instance without a drain, or `null`. */
function forcedEnd({ order, instance }: Node): string | null {
  if (order?.force !== true || order.goal === "drain" || instance === null) return null;
  return `${order.why} (forced by ${order.by})`;
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

/** Why nothing replaces the node: the pool no longer wants its slot. */
function givenUp(node: Node, { candidates, desired, sight }: Scope): string | null {
  if (!candidates.has(node.id) || !isReplaced(node)) return null;
  if (sight.blind.length > 0 || sight.frozen !== null) return null;
  return `its slot is no longer wanted: pool ${node.pool} wants ${desired} nodes`;
}

export function decideDraining(node: Node, phase: Draining, scope: Scope, plan: PlanBuilder): void {
  const { sight } = scope;
  const surplus = givenUp(node, scope);
  if (surplus !== null) {
    return plan.advance({ ...phase, purpose: "scale_down" }, "node.draining", [surplus]);
  }
  if (phase.purpose === "surplus" && node.cordon.product === null) {
    const why = "no slot needs this instance";
    return plan.effect({ kind: "cordon", why, cause: "surplus" }, [why]);
  }
  const over = phase.drainedAt !== null;
  if (over && node.order !== null) return decideDrained(node, phase, scope, plan);
  const ended = (because: string, emptied: boolean): void =>
    plan.advance({ ...phase, drainedAt: sight.now, emptied }, "node.drained", [because]);
  const drained = (because: string): void => ended(because, false);
  const loss = lossOf(node, scope);
  if (!over && loss !== null && node.health.silentSince !== null) return drained(loss);
  const forced = forcedEnd(node);
  if (forced !== null) {
    const to = terminating(sight, purposeAfter(node, phase));
    return plan.advance(to, "node.terminating", [forced]);
  }
  const proof = (node.session?.definitive ?? false) && !hasSuspendedFinding(node, scope);
  const isRepair = isForRepair(phase) && node.order === null && node.session !== null;
  if (isRepair && !proof && isWell(node)) {
    const because = ["recovered before the drain ended: the repair is cancelled"];
    return plan.advance({ kind: "suspect", since: sight.now }, "node.recovered", because);
  }
  if (needsSecond(node, phase, scope, plan)) return;
  const left = workOn(sight, node.id);
  const came = cameAfter(node, phase, left);
  if (came !== null) return plan.advance(reopened(phase, sight.now), "node.draining", [came]);
  if (over) return decideDrained(node, phase, scope, plan);
  const dark = darkness(node, scope) ?? (left.kind === "dark" ? left.message : null);
  // While the cluster does not answer, no deadline replaces an observation.
  if (dark !== null) return plan.wait("blind", dark);
  if (left.kind === "empty" && left.seenAt >= phase.since) {
    return ended("no work is left on it", true);
  }
  // Time in which no pod could be evicted is not counted.
  const extendedAt = left.kind === "busy" ? (left.deadlineAt ?? 0) : 0;
  const deadlineAt = phase.deadlineAt > 0 ? Math.max(phase.deadlineAt, extendedAt) : null;
  const end =
    left.kind === "busy" && deadlineAt !== null
      ? jobEndOf(node, phase, left, deadlineAt, scope)
      : null;
  if (end !== null && sight.now >= end.at) {
    const veto = pausedBy(node, scope) ?? blindness(sight);
    if (veto !== null) return plan.refuse(veto);
    return plan.effect(end.payload, ["its drain deadline passed with jobs in Slurm"]);
  }
  const endAt = deadlineAt === null ? null : overdueAt(phase, deadlineAt, scope.pool);
  if (endAt !== null && sight.now >= endAt) return decideOverdue(node, left, scope, plan, drained);
  if (left.kind === "unknown") return decideUnknown(phase, left.forMs, scope, plan, drained);
  if (left.kind !== "busy") {
    return plan.wait("drain", "waits for a process list that is newer than its cordon");
  }
  if (phase.sawWork !== true)
    return plan.advance({ ...phase, sawWork: true }, "node.draining", [left.message]);
  const kept = node.order === null ? keptBy(node, scope) : null;
  if (kept !== null) return plan.wait("human", `${kept}; ${left.message}`);
  // While a hold or a pause is active, no end can be predicted.
  if (left.paused === true || endAt === null) return plan.wait("drain", left.message);
  const isTold = phase.jobsToldAt !== undefined;
  const isCut = endsAtDeadline(node, scope.pool);
  const said = sayJobEnd(left, end, { pool: scope.pool, isCut, isTold });
  plan.wait("drain", said, end?.at ?? endAt);
}

/** Work on a drained node that no scheduler kept off it, while a hold or a freeze kept the node. */
function cameAfter({ kube, slurm }: Node, phase: Draining, left: DrainSight): string | null {
  if (phase.drainedAt === null || phase.emptied !== true || left.kind !== "busy") return null;
  if (kube != null || slurm !== null) return null;
  return `work came after it was drained: ${left.message}`;
}

/** Answers for a node whose surge lost its verified replacement: its end would leave a gap. */
function needsSecond(node: Node, phase: Draining, scope: Scope, plan: PlanBuilder): boolean {
  const { slot, order, session, instance } = node;
  if (scope.pool?.replacement !== "surge" || phase.purpose !== "replace") return false;
  if (slot === null || order !== null || session === null) return false;
  if (instance === null || isOwned(node)) return false;
  const second = (scope.bySlot.get(slot) ?? []).find(({ id }) => id !== node.id);
  if (second === undefined) {
    const because = [`slot ${slot} lost its replacement: another one comes first (surge)`];
    plan.advance({ kind: "suspect", since: scope.sight.now }, "node.suspect", because);
    return true;
  }
  if (second.phase.kind !== "terminating" || phase.drainedAt === null) return false;
  plan.wait("confirmation", `its replacement ${second.id} is being ended`);
  return true;
}

function isForRepair({ purpose }: Draining): boolean {
  return purpose === "replace" || purpose === "repair";
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
  // "Unknown" counts only while it could have been known: a restart is no drain.
  const waitedMs = Math.min(forMs, sight.now - phase.since);
  if (waitedMs >= unknownWaitMs) {
    return drained(`the work on it is unknown; waited ${Math.round(unknownWaitMs / 1000)} s`);
  }
  plan.wait("drain", "the work on it is unknown", sight.now + unknownWaitMs - waitedMs);
}

/** Whether the node ends at its drain's deadline although work is left on it. */
export function endsAtDeadline(node: Node, pool: PoolConfig | null): boolean {
  // The cloud ends it then, whatever runs on it.
  if (node.phase.kind === "draining" && node.phase.purpose === "preempted") return true;
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
  const held: Phase = { kind: "held", since: scope.sight.now, heldBy: "navarch", why };
  plan.advance(held, "node.held", [why], "held");
}

/** The wait of a node that a person cordoned, unless the person also ordered something. */
export function cordonedBy({ cordon, order }: Node): Veto | null {
  if (cordon.human === null || order !== null) return null;
  const message = `cordoned by ${cordon.human.by}: uncordon it, or order its replacement`;
  return { reason: "human", message, until: null };
}

function decideDrained(node: Node, phase: Draining, scope: Scope, plan: PlanBuilder): void {
  const { sight } = scope;
  // A drain order keeps the node empty, whatever it was drained for.
  if (node.order?.goal === "drain" || (phase.purpose === "operator" && node.order === null)) {
    return plan.wait("human", "drained as ordered: uncordon it, terminate it or replace it");
  }
  // A surplus with a person's cordon is a machine that was believed to be gone, and is back.
  const isTheirs = isForRepair(phase) || phase.purpose === "surplus";
  const veto =
    (isTheirs ? cordonedBy(node) : null) ??
    pausedBy(node, scope) ??
    (node.order?.force === true
      ? null
      : // A drain of Slurm can be lifted while its controller is not seen.
        (blindness(sight) ?? vetoIf("blind", slurmDarkness(node, scope))));
  if (veto !== null) return plan.refuse(veto);
  if (node.instance === null) return decideEmptied(node, phase, scope, plan);
  if (phase.purpose === "repair" && node.order === null && isOwned(node)) {
    return decideOwnedRepair(node, scope, plan);
  }
  if (phase.purpose === "repair" && node.order === null) {
    const { provider, id } = node.instance;
    const bootId = node.agent?.bootId ?? null;
    const payload = { kind: "reboot", provider, instanceId: id, bootId } as const;
    return plan.effect(payload, ["drained for its reboot"]);
  }
  plan.advance(terminating(sight, purposeAfter(node, phase)), "node.terminating", ["drained"]);
}

/** Drained, and nothing to terminate: Navarch did not buy the machine. */
function decideEmptied(node: Node, phase: Draining, scope: Scope, plan: PlanBuilder): void {
  const isRepaired = isWell(node) && (node.health.lastCheckAt ?? 0) >= phase.since;
  if (phase.purpose === "repair" && node.order === null && isRepaired) {
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

/** Of a row that has no more. */
const REFUSED = "the last request to terminate it was refused";

export function decideTerminating(
  node: Node,
  phase: PhaseOf<"terminating">,
  scope: Scope,
  plan: PlanBuilder,
): void {
  const { sight } = scope;
  const { instance } = node;
  const surplus = givenUp(node, scope);
  if (surplus !== null) {
    return plan.advance({ ...phase, purpose: "scale_down" }, "node.terminating", [surplus]);
  }
  const gone = (because: string): void =>
    plan.advance(
      { kind: "gone", since: sight.now, purpose: phase.purpose },
      "node.terminated",
      [because],
      node.session === null ? null : "replaced",
    );
  if (instance === null) return gone("nothing was bought for it");
  if (instance.state === "terminated") {
    const { host, id } = instance;
    if (host !== undefined) return gone(`host ${host.name} is released and runs on`);
    return gone(`the cloud confirms the end of instance ${id}`);
  }
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
  if (paused !== null) return plan.refuse(paused);
  if (isResting(phase.notBefore, sight.now))
    return plan.wait("backoff", sayEndRefused(node) ?? REFUSED, phase.notBefore);
  const blind = node.order?.force === true ? null : blindness(sight);
  if (blind !== null) return plan.refuse(blind);
  const held = heldByCloud(node, sight);
  if (held !== null) return plan.refuse(held);
  const provider = sight.providers.get(instance.provider);
  const unavailable = provider?.unavailable ?? null;
  if (unavailable !== null) {
    const message = `${instance.provider}: ${unavailable}; ${instance.id} is billed`;
    return plan.wait("provider", message);
  }
  if (phase.purpose === "surplus" && !scope.sweep.take(node)) {
    return plan.wait("budget", scope.sweep.tell(), sight.now + SWEEP_MS);
  }
  const inService = reopenedInSlurm(node, scope);
  if (inService !== null) return plan.wait("drain", inService);
  plan.effect({ kind: "terminate", provider: instance.provider, instanceId: instance.id }, [
    phase.purpose,
  ]);
}
