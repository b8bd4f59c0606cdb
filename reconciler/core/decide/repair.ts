/**
 * Decides what happens to a serving node with evidence against it. Pure. Definitive evidence
 * isolates at once; the threshold gates the drain and everything after it. With `auto_replace` the
 * first irreversible step is replacement.
 */
import { groupIncidents } from "../../../health/policy/incident.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Node, PoolState } from "../../../schema/node.ts";
import type { Plan } from "../plan.ts";
import type { Suppression } from "../../../schema/suppression.ts";
import {
  isLostToCluster,
  isOwned,
  isUnbought,
  isWell,
  type OutOfCluster,
  outOfCluster,
  showsPersonsCordon,
  verdictOfNode,
} from "../fleet.ts";
import { isEvident } from "../safety/evident.ts";
import { lossDoubt, lossOfNode } from "../safety/cluster-loss.ts";
import { relapseOf } from "../safety/relapse.ts";
import { hindranceOf } from "./bootstrap.ts";
import type { Scope } from "./decide.ts";
import {
  blindness,
  ceilingFor,
  clusterDoubt,
  frozen,
  frozenCordon,
  guardOfPool,
  hasSuspendedFinding,
  mayTake,
  pausedBy,
  theirsOn,
  type Veto,
  vetoIf,
} from "./admit.ts";
import { lose } from "./lose.ts";
import { nextRung } from "./ladder.ts";
import { cordonedBy, decideOrder, drainPayload, type PhaseOf } from "./leave.ts";
import { lossOf, type PlanBuilder } from "./node.ts";
import { calledOffAt, resumeOf } from "../fold/uncordon.ts";
import { isSuppressed } from "../fold/suppression.ts";
import { isPowered } from "../slurm/power-save.ts";
import { darkness, lackOf } from "./kube.ts";
import { keptBy } from "../kubernetes/hold.ts";
import { decidePreempted, preemptionOf } from "./preempted.ts";
import { isResting } from "../turn/backoff.ts";
import { nodeIdOf } from "./offer.ts";
import { slurmNoteOf } from "./slurm.ts";
import { type Cause, sayCause, sayCauses } from "../say/cause.ts";
import type { WaitCause } from "../say/wait.ts";

export function decideServing(node: Node, scope: Scope, plan: PlanBuilder): void {
  const { sight } = scope;
  const loss = lossOf(node, scope);
  if (loss !== null && node.health.silentSince !== null) return lose(node, scope, plan, loss);
  if (node.order !== null) return decideOrder(node, scope, plan);
  const notice = preemptionOf(node, sight.now);
  if (notice !== null) return decidePreempted(node, notice, scope, plan);
  const verdict = verdictOfNode(node);
  if (verdict === "unhealthy" && !isSuppressed(node)) {
    const because = reasonsOf(node);
    return plan.advance({ kind: "suspect", since: sight.now }, "node.suspect", because, "open");
  }
  if (scope.candidates.has(node.id)) return decideScaleDown(node, scope, plan);
  if (loss !== null) return plan.wait("second_witness", { code: "doubted", loss });
  if (node.cordon.product !== null) {
    const kept = keptBy(node, scope);
    if (kept !== null) return plan.wait("human", kept);
    const keep = showsPersonsCordon(node);
    const why = sayCause({ code: "passed" });
    return plan.effect({ kind: "uncordon", why, keep }, [
      { code: "was", why: node.cordon.product.why },
    ]);
  }
  const out = sight.kube === null ? null : outOfCluster(node);
  const inSlurm = slurmNoteOf(node, scope);
  const lack = lackOf(node, scope);
  if (node.cordon.human !== null) {
    const { by, why } = node.cordon.human;
    plan.wait("human", { code: "cordoned", by, why });
  } else if (verdict === "unhealthy" && node.waiver !== null)
    plan.wait("human", suppressedBy(node, node.waiver));
  else if (out !== null) waitOutOfCluster(node, out, scope, plan);
  else if (node.kube !== null && node.kube.others.length > 0)
    plan.wait("human", { code: "cordoned_in_kubernetes", by: node.kube.others });
  else if (inSlurm !== null) plan.wait("human", inSlurm);
  else if (lack !== null) plan.wait("human", lack);
  else if (node.pool !== null && scope.pool === null) {
    plan.wait("not_ours", { code: "pool_unconfigured", pool: node.pool });
  }
}

/** Its repair begins with a fold, once the time of the configuration is over. */
function waitOutOfCluster(node: Node, out: OutOfCluster, scope: Scope, plan: PlanBuilder): void {
  const { notReadyAfterMs } = scope.timing;
  const known = { ...out, node: isUnbought(node) ? null : node.id };
  if (notReadyAfterMs === 0 || isUnbought(node)) {
    return plan.wait("human", { code: "node_out", ...known });
  }
  const doubt = lossDoubt(node, scope.fleet.nodes.values());
  if (doubt !== null) return plan.wait("cluster", { code: "node_out_doubted", ...known, doubt });
  const until = Math.max(out.since + notReadyAfterMs, scope.sight.now);
  plan.wait("cluster", { code: "node_out_awaited", ...known }, until);
}

/** Why nothing repairs a node that a person uncordoned, and what resumes its repair. */
function suppressedBy(node: Node, { by, why }: Suppression): WaitCause {
  const causes = reasonsOf(node);
  const off = calledOffAt(node);
  if (off === null) return { code: "suppressed", by, why, causes };
  return { code: "called_off", off, causes, resume: resumeOf(node) };
}

/** One reason per incident, its root (docs/reference/xid.md#incidents). */
function reasonsOf(node: Node): Cause[] {
  const incidents = groupIncidents(node.health.held).filter(({ result }) => result === "unhealthy");
  const reasons = incidents.map(({ root, findings }): Cause => {
    const { because } = root.judgement;
    return { code: "evidence", because, more: findings.length - 1 };
  });
  if (node.health.silentSince !== null) reasons.push({ code: "silent" });
  const loss = lossOfNode(node);
  if (loss !== null) reasons.push(loss);
  return reasons.slice(0, 8);
}

function decideScaleDown(node: Node, scope: Scope, plan: PlanBuilder): void {
  const { sight } = scope;
  const veto =
    blindness(sight) ??
    frozen(sight) ??
    vetoIf("blind", darkness(node, scope)) ??
    vetoIf("human", keptBy(node, scope) ?? theirsOn(node));
  if (veto !== null) return plan.refuse(veto);
  const why: Cause = {
    ...{ code: "scale_down", pool: node.pool ?? "", wanted: scope.desired },
    isSuspended: isPowered(scope.pool),
  };
  if (node.cordon.product === null) {
    return plan.effect({ kind: "cordon", why: sayCause(why), cause: "scale_down" }, [why]);
  }
  plan.effect(drainPayload(node, scope, "scale_down", null), [why]);
}

export function decideSuspect(node: Node, scope: Scope, plan: PlanBuilder, whole: Plan): void {
  const { pool } = scope;
  const loss = lossOf(node, scope);
  if (loss !== null && node.health.silentSince !== null) return lose(node, scope, plan, loss);
  if (node.order !== null) return decideOrder(node, scope, plan);
  if (scope.candidates.has(node.id)) return decideScaleDown(node, scope, plan);
  const notice = preemptionOf(node, scope.sight.now);
  if (notice !== null && node.cordon.product !== null) {
    return decidePreempted(node, notice, scope, plan);
  }
  if (isWell(node)) return decideRecovery(node, scope, plan);
  const proof = node.health.held.some(
    ({ judgement }) => judgement.definitive && judgement.result === "unhealthy",
  );
  const threshold = pool?.health.unhealthyThreshold ?? 1;
  const isLost = isLostToCluster(node);
  const isSick = node.health.verdict === "unhealthy" && node.health.unhealthyRun >= threshold;
  const reached = isSick || isLost;
  const silent = node.health.silentSince !== null;
  if (node.cordon.product === null && (proof || reached || silent))
    return decideIsolation(node, scope, plan, proof);
  if (!reached) {
    if (silent && node.health.verdict !== "unhealthy") return waitUnheard(node, plan);
    const { unhealthyRun: run } = node.health;
    return plan.wait(
      "threshold",
      { code: "threshold", run, of: threshold, causes: reasonsOf(node) },
      node.health.lastCountedAt + scope.timing.checkIntervalMs,
    );
  }
  if (isUnbought(node)) return emptyUnbought(node, scope, plan);
  const { rung, until, skipped } = nextRung(node, scope);
  // An owned machine is emptied for its reboot, or to be held.
  const inPlace = rung === "reboot" || isOwned(node);
  const veto = vetoRepair(node, scope) ?? (inPlace ? null : vetoReplacement(node, scope));
  if (veto !== null) return plan.refuse(veto);
  if (isResting(until, scope.sight.now)) {
    return plan.wait("backoff", { code: "reboot_rests" }, until);
  }
  const relapse = inPlace ? null : vetoRelapse(node, scope);
  if (relapse !== null) return plan.refuse(relapse);
  if (!mayTake(node, inPlace ? "reboot" : "replace", scope, plan)) return;
  if (!inPlace && pool?.replacement === "surge") return startSurge(node, scope, plan, whole);
  const payload = drainPayload(node, scope, inPlace ? "repair" : "replace", null);
  plan.effect(payload, [...reasonsOf(node), ...skipped]);
}

/** Silence alone: the cloud must confirm it, or a person if the machine is unmanaged. */
function waitUnheard(node: Node, plan: PlanBuilder): void {
  const since = node.health.silentSince ?? 0;
  const { host } = node.instance ?? {};
  if (host !== undefined) {
    const where = { host: host.name, address: node.instance?.externalIp };
    return plan.wait("human", { code: "host_silent", since, ...where });
  }
  if (!isUnbought(node)) return plan.wait("second_witness", { code: "instance_runs", since });
  plan.wait("human", { code: "unbought_silent", since, node: node.id });
}

/**
 * An unmanaged machine cannot be repaired or replaced: it is drained without a deadline and waits
 * for a person.
 */
function emptyUnbought(node: Node, scope: Scope, plan: PlanBuilder): void {
  const veto = vetoRepair(node, scope);
  if (veto !== null) return plan.refuse(veto);
  if (!mayTake(node, "reboot", scope, plan)) return;
  plan.effect(drainPayload(node, scope, "repair", 0), reasonsOf(node));
}

/** The first refusal to repair a node (docs/reference/safety.md#admission). */
function vetoRepair(node: Node, scope: Scope): Veto | null {
  const { sight, pool } = scope;
  if (node.cordon.human !== null) {
    const { by, why } = node.cordon.human;
    const isUnsold = isUnbought(node);
    return vetoIf("human", { code: "cordoned_repair", by, why, isUnbought: isUnsold });
  }
  if (pool === null) {
    const named = node.agent?.inventory.pool ?? null;
    return vetoIf("not_ours", { code: "no_pool", pool: named, node: node.id });
  }
  if (node.instance === null && !isUnbought(node)) {
    return vetoIf("not_ours", { code: "no_instance" });
  }
  if (!pool.health.autoReplace) {
    return vetoIf("not_ours", { code: "no_auto_replace", pool: pool.name });
  }
  return pausedBy(node, scope) ?? blindness(sight) ?? vetoIf("blind", darkness(node, scope));
}

/** Refusals that hold for any replacement, not only for repairs. */
function vetoReplacement(node: Node, scope: Scope): Veto | null {
  const { pool } = scope;
  if (pool === null) return null;
  if (!pool.repair.ladder.includes("replace")) {
    const { skipped } = nextRung(node, scope);
    return vetoIf("human", { code: "ladder_ends", pool: pool.name, skipped });
  }
  const ceiling = ceilingFor(node, pool, scope);
  if (ceiling !== null) return vetoIf("spend", ceiling);
  const hindrance = hindranceOf(pool, scope.sight);
  if (hindrance?.total === true) {
    return vetoIf("bootstrap", { code: "no_replacement", why: hindrance.why });
  }
  const state = scope.fleet.pools.get(pool.name);
  return state === undefined ? null : guardOfPool(pool, state, scope);
}

/** Without breakers there is no relapse guard either. */
function vetoRelapse(node: Node, { fleet, sight, breaks }: Scope): Veto | null {
  const relapse = breaks ? relapseOf(node, fleet.nodes) : null;
  if (relapse === null || !isResting(relapse.until, sight.now)) return null;
  const { lives, until } = relapse;
  return { reason: "backoff", why: { code: "relapse", lives }, until };
}

function decideIsolation(node: Node, scope: Scope, plan: PlanBuilder, proof: boolean): void {
  const { sight } = scope;
  const veto =
    frozenCordon(node, sight) ??
    vetoIf("human", keptBy(node, scope)) ??
    (proof ? null : blindness(sight)) ??
    clusterDoubt(node, scope);
  if (veto !== null) return plan.refuse(veto);
  // Cordons for silence have a budget of their own, so that they do not delay evidence.
  const sick = proof || node.health.verdict === "unhealthy" || isLostToCluster(node);
  const refusal = sick ? scope.budgets.refusal(node, "isolate") : null;
  if (refusal !== null) return plan.wait(refusal.kind, refusal.why);
  const budget = isEvident(node) ? null : sick ? scope.budget : scope.silence;
  if (budget !== null && !budget.take(node)) return plan.wait("budget", budget.full(node));
  if (sick) scope.budgets.spend(node, "isolate");
  const because = reasonsOf(node);
  plan.effect({ kind: "cordon", why: sayCauses(because), cause: "fault" }, because);
}

/** Recovered: Navarch's own cordon is lifted first, then the session closes; a person's stays. */
export function decideRecovery(node: Node, scope: Scope, plan: PlanBuilder): void {
  const loss = lossOf(node, scope);
  if (loss !== null) return plan.wait("second_witness", { code: "doubted", loss });
  const check = node.health.lastCheckAt;
  if (check === null || check < (node.session?.openedAt ?? 0)) {
    return plan.wait("boot", { code: "recovered" });
  }
  const kept = keptBy(node, scope);
  if (kept !== null) return plan.wait("human", kept);
  const because: Cause[] = [{ code: "cleared" }];
  if (node.cordon.product !== null) {
    const keep = showsPersonsCordon(node);
    return plan.effect({ kind: "uncordon", why: sayCause({ code: "recovered" }), keep }, because);
  }
  plan.advance(
    { kind: "serving", since: scope.sight.now },
    "node.recovered",
    because,
    hasSuspendedFinding(node, scope) ? "quarantined" : "recovered",
  );
}

/** Buys first: the new node takes the same slot, and the old one waits until it is verified. */
function startSurge(node: Node, scope: Scope, plan: PlanBuilder, whole: Plan): void {
  const { pool, fleet, sight } = scope;
  const { id, slot } = node;
  const state = pool === null ? undefined : fleet.pools.get(pool.name);
  if (pool === null || state === undefined || slot === null)
    return plan.wait("not_ours", { code: "no_slot" });
  const other = (scope.bySlot.get(slot) ?? []).find((one) => one.id !== id);
  if (other !== undefined) {
    const has = { slot, node: other.id, phase: other.phase.kind };
    return plan.wait("replacement", { code: "slot_has", ...has });
  }
  const gen = nextGenOf(state, whole);
  const replacement = nodeIdOf(fleet.fleetId, pool.name, slot, gen) as NodeId;
  whole.actions.push({
    kind: "admit",
    node: replacement,
    pool: pool.name,
    slot,
    gen,
    replaces: id,
    because: [{ code: "replacement_for", node: id }],
  });
  const to = { kind: "replacing", since: sight.now, replacement } as const;
  plan.advance(to, "node.replacing", reasonsOf(node));
}

/** The pool's next generation number that `plan` does not use yet. */
export function nextGenOf({ name, nextGen }: PoolState, plan: Plan): number {
  return nextGen + plan.actions.filter((a) => a.kind === "admit" && a.pool === name).length;
}

export function decideReplacing(
  node: Node,
  phase: PhaseOf<"replacing">,
  scope: Scope,
  plan: PlanBuilder,
): void {
  const { sight, fleet } = scope;
  const loss = lossOf(node, scope);
  if (loss !== null && node.health.silentSince !== null) return lose(node, scope, plan, loss);
  if (node.order?.force === true) return decideOrder(node, scope, plan);
  if (scope.candidates.has(node.id)) return decideScaleDown(node, scope, plan);
  const replacement = fleet.nodes.get(phase.replacement);
  if (replacement?.phase.kind === "terminating") {
    return plan.wait("confirmation", { code: "replacement_failed", node: replacement.id });
  }
  const suspect = { kind: "suspect", since: sight.now } as const;
  if (replacement === undefined || replacement.phase.kind === "gone") {
    const because: Cause[] = [{ code: "replacement_failed", node: phase.replacement }];
    return plan.advance(suspect, "node.suspect", because);
  }
  if (isWell(node) && node.order === null) {
    // Afterwards the node that is easier to lose leaves as surplus.
    const because: Cause[] = [{ code: "cancelled" }];
    return plan.advance(suspect, "node.recovered", because);
  }
  // A suspect one has served, and is repaired once this node has left the slot.
  const failed = replacement.phase.kind === "suspect" && !isOwned(replacement);
  if (replacement.phase.kind !== "serving" && !failed) {
    const coming = { node: replacement.id, phase: replacement.phase.kind };
    const verdict = verdictOfNode(node);
    return plan.wait("replacement", { code: "replacement_comes", ...coming, verdict });
  }
  const veto = blindness(sight) ?? pausedBy(node, scope) ?? cordonedBy(node);
  if (veto !== null) return plan.refuse(veto);
  const because: Cause = { code: "replaced", by: replacement.id, isSuspect: failed };
  plan.effect(drainPayload(node, scope, "replace", null), [because]);
}
