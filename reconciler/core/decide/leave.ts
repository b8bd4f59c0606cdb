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
import { endRefusedOf } from "../fold/ending.ts";
import { isReplaced } from "../safety/in-flight.ts";
import type { Scope } from "./decide.ts";
import { jobEndOf, jobWait, overdueAt } from "./job-end.ts";
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
import { type Cause, sayCause } from "../say/cause.ts";
import type { Dark } from "../say/hold.ts";
import type { WaitCause } from "../say/wait.ts";

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
  plan.effect(drainPayload(node, scope, purpose, order.timeoutMs), [
    { code: "ordered", why: order.why },
  ]);
}

/** The reason of an order that ends the instance without a drain, or `null`. */
function forcedEnd({ order, instance }: Node): Cause | null {
  if (order?.force !== true || order.goal === "drain" || instance === null) return null;
  return { code: "forced", why: order.why, by: order.by };
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
function givenUp(node: Node, { candidates, desired, sight }: Scope): Cause | null {
  if (!candidates.has(node.id) || !isReplaced(node)) return null;
  if (sight.blind.length > 0 || sight.frozen !== null) return null;
  return { code: "slot_unwanted", pool: node.pool ?? "", wanted: desired };
}

export function decideDraining(node: Node, phase: Draining, scope: Scope, plan: PlanBuilder): void {
  const { sight } = scope;
  const surplus = givenUp(node, scope);
  if (surplus !== null) {
    return plan.advance({ ...phase, purpose: "scale_down" }, "node.draining", [surplus]);
  }
  if (phase.purpose === "surplus" && node.cordon.product === null) {
    const why: Cause = { code: "surplus" };
    return plan.effect({ kind: "cordon", why: sayCause(why), cause: "surplus" }, [why]);
  }
  const over = phase.drainedAt !== null;
  if (over && node.order !== null) return decideDrained(node, phase, scope, plan);
  const ended = (because: Cause, emptied: boolean): void =>
    plan.advance({ ...phase, drainedAt: sight.now, emptied }, "node.drained", [because]);
  const drained = (because: Cause): void => ended(because, false);
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
    const because: Cause[] = [{ code: "cancelled" }];
    return plan.advance({ kind: "suspect", since: sight.now }, "node.recovered", because);
  }
  if (needsSecond(node, phase, scope, plan)) return;
  const left = workOn(sight, node.id);
  const came = cameAfter(node, phase, left);
  if (came !== null) return plan.advance(reopened(phase, sight.now), "node.draining", [came]);
  if (over) return decideDrained(node, phase, scope, plan);
  const dark = darkness(node, scope) ?? darkWork(left);
  // While the cluster does not answer, no deadline replaces an observation.
  if (dark !== null) return plan.wait("blind", dark);
  if (left.kind === "empty" && left.seenAt >= phase.since) {
    return ended({ code: "empty" }, true);
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
    return plan.effect(end.payload, [{ code: "jobs_overdue" }]);
  }
  const endAt = deadlineAt === null ? null : overdueAt(phase, deadlineAt, scope.pool);
  if (endAt !== null && sight.now >= endAt) return decideOverdue(node, left, scope, plan, drained);
  if (left.kind === "unknown") return decideUnknown(phase, left.forMs, scope, plan, drained);
  if (left.kind !== "busy") {
    return plan.wait("drain", { code: "list_is_old" });
  }
  const work = left.message;
  if (phase.sawWork !== true)
    return plan.advance({ ...phase, sawWork: true }, "node.draining", [{ code: "work", work }]);
  const kept = node.order === null ? keptBy(node, scope) : null;
  if (kept !== null) return plan.wait("human", { code: "work_kept", kept, work });
  // While a hold or a pause is active, no end can be predicted.
  if (left.paused === true || endAt === null) return plan.wait("drain", { code: "work", work });
  const isTold = phase.jobsToldAt !== undefined;
  const isCut = endsAtDeadline(node, scope.pool);
  const jobs = jobWait(left, end, { pool: scope.pool, isCut, isTold });
  plan.wait("drain", jobs, end?.at ?? endAt);
}

const darkWork = (left: DrainSight): Dark | null =>
  left.kind === "dark" ? { code: "work_dark", said: left.message } : null;

/** Work on a drained node that no scheduler kept off it, while a hold or a freeze kept the node. */
function cameAfter({ kube, slurm }: Node, phase: Draining, left: DrainSight): Cause | null {
  if (phase.drainedAt === null || phase.emptied !== true || left.kind !== "busy") return null;
  if (kube != null || slurm !== null) return null;
  return { code: "work_came", work: left.message };
}

/** Answers for a node whose surge lost its verified replacement: its end would leave a gap. */
function needsSecond(node: Node, phase: Draining, scope: Scope, plan: PlanBuilder): boolean {
  const { slot, order, session, instance } = node;
  if (scope.pool?.replacement !== "surge" || phase.purpose !== "replace") return false;
  if (slot === null || order !== null || session === null) return false;
  if (instance === null || isOwned(node)) return false;
  const second = (scope.bySlot.get(slot) ?? []).find(({ id }) => id !== node.id);
  if (second === undefined) {
    const because: Cause[] = [{ code: "replacement_lost", slot }];
    plan.advance({ kind: "suspect", since: scope.sight.now }, "node.suspect", because);
    return true;
  }
  if (second.phase.kind !== "terminating" || phase.drainedAt === null) return false;
  plan.wait("confirmation", { code: "replacement_ends", node: second.id });
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
  drained: (why: Cause) => void,
): void {
  const { sight } = scope;
  if (phase.sawWork === true) {
    return plan.wait(
      "drain",
      { code: "work_seen" },
      phase.deadlineAt > 0 ? phase.deadlineAt : null,
    );
  }
  const { unknownWaitMs } = scope.pool?.drain ?? DRAIN_DEFAULT;
  // "Unknown" counts only while it could have been known: a restart is no drain.
  const waitedMs = Math.min(forMs, sight.now - phase.since);
  if (waitedMs >= unknownWaitMs) {
    return drained({ code: "work_unknown", seconds: Math.round(unknownWaitMs / 1000) });
  }
  plan.wait("drain", { code: "work_unknown" }, sight.now + unknownWaitMs - waitedMs);
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
  drained: (why: Cause) => void,
): void {
  if (endsAtDeadline(node, scope.pool)) {
    return drained({ code: "cut_off", work: left.kind === "busy" ? left.message : null });
  }
  const why: Cause = { code: "overdue" };
  const text = sayCause(why);
  const held: Phase = { kind: "held", since: scope.sight.now, heldBy: "navarch", why: text };
  plan.advance(held, "node.held", [why], "held");
}

/** The wait of a node that a person cordoned, unless the person also ordered something. */
export function cordonedBy({ cordon, order }: Node): Veto | null {
  if (cordon.human === null || order !== null) return null;
  return vetoIf("human", { code: "cordoned_drain", by: cordon.human.by });
}

function decideDrained(node: Node, phase: Draining, scope: Scope, plan: PlanBuilder): void {
  const { sight } = scope;
  // A drain order keeps the node empty, whatever it was drained for.
  if (node.order?.goal === "drain" || (phase.purpose === "operator" && node.order === null)) {
    return plan.wait("human", { code: "drained_as_ordered" });
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
    return plan.effect(payload, [{ code: "drained_for_reboot" }]);
  }
  plan.advance(terminating(sight, purposeAfter(node, phase)), "node.terminating", [
    { code: "drained" },
  ]);
}

/** Drained, and nothing to terminate: Navarch did not buy the machine. */
function decideEmptied(node: Node, phase: Draining, scope: Scope, plan: PlanBuilder): void {
  const isRepaired = isWell(node) && (node.health.lastCheckAt ?? 0) >= phase.since;
  if (phase.purpose === "repair" && node.order === null && isRepaired) {
    const because: Cause[] = [{ code: "repaired" }];
    return plan.advance({ kind: "suspect", since: scope.sight.now }, "node.recovered", because);
  }
  const isRepair = phase.purpose === "repair";
  plan.wait("not_ours", { code: "drained_unbought", node: node.id, isRepair });
}

/** The cloud's refusal to end it; `null` = none. */
export function endRefused(node: Node): WaitCause | null {
  const refused = endRefusedOf(node);
  return refused === null ? null : { code: "end_refused", ...refused };
}

/** An order that came while it was emptied for a repair overtakes the repair. */
function purposeAfter({ order }: Node, { purpose }: Draining): Purpose {
  if (purpose !== "repair") return purpose;
  return order?.goal === "replace" ? "replace" : "operator";
}

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
  const gone = (because: Cause): void =>
    plan.advance(
      { kind: "gone", since: sight.now, purpose: phase.purpose },
      "node.terminated",
      [because],
      node.session === null ? null : "replaced",
    );
  if (instance === null) return gone({ code: "never_bought" });
  if (instance.state === "terminated") {
    const { host, id } = instance;
    if (host !== undefined) return gone({ code: "released", host: host.name });
    return gone({ code: "end_confirmed", id });
  }
  const loss = lossOf(node, scope);
  // Absence counts only after the termination was requested: a listing may be wrong, and an
  // instance forgotten by mistake is billed for ever.
  if (loss !== null && instance.state !== "stopped" && phase.accepted !== null) return gone(loss);
  if (phase.accepted !== null && sight.now - phase.accepted < ASK_AGAIN_MS) {
    return plan.wait(
      "confirmation",
      { code: "still_billed", id: instance.id, state: instance.state },
      phase.accepted + ASK_AGAIN_MS,
    );
  }
  const paused = pausedBy(node, scope);
  if (paused !== null) return plan.refuse(paused);
  if (isResting(phase.notBefore, sight.now))
    return plan.wait("backoff", endRefused(node) ?? { code: "end_was_refused" }, phase.notBefore);
  const blind = node.order?.force === true ? null : blindness(sight);
  if (blind !== null) return plan.refuse(blind);
  const held = heldByCloud(node, sight);
  if (held !== null) return plan.refuse(held);
  const provider = sight.providers.get(instance.provider);
  const unavailable = provider?.unavailable ?? null;
  if (unavailable !== null) {
    const { provider: name, id } = instance;
    const why = { code: "end_unavailable", provider: name, said: unavailable, id } as const;
    return plan.wait("provider", why);
  }
  if (phase.purpose === "surplus" && !scope.sweep.take(node)) {
    return plan.wait("budget", scope.sweep.full(), sight.now + SWEEP_MS);
  }
  const inService = reopenedInSlurm(node, scope);
  if (inService !== null) return plan.wait("drain", inService);
  plan.effect({ kind: "terminate", provider: instance.provider, instanceId: instance.id }, [
    { code: "purpose", purpose: phase.purpose },
  ]);
}
