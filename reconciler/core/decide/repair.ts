/**
 * Decides what happens to a serving node with evidence against it. Pure. Definitive evidence
 * isolates at once; the threshold gates the drain and everything after it. With `auto_replace` the
 * first irreversible step is replacement.
 */
import { groupIncidents } from "../../../health/policy/incident.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Node, Phase } from "../../../schema/node.ts";
import type { Plan, WaitReason } from "../../../schema/plan.ts";
import type { Suppression } from "../../../schema/suppression.ts";
import { isUnbought, showsPersonsCordon, verdictOfNode } from "../fleet.ts";
import { isEvident } from "../safety/evident.ts";
import { missingNodeOf, sayMissing } from "../safety/missing-node.ts";
import { relapseOf } from "../safety/relapse.ts";
import { hindranceOf } from "./bootstrap.ts";
import type { Scope } from "./decide.ts";
import { ceilingFor, guardOfPool, isPutAside, mayTake, pausedBy } from "./admit.ts";
import { lose } from "./arrive.ts";
import { nextRung } from "./ladder.ts";
import { decideOrder, drainPayload } from "./leave.ts";
import { lossOf, type PlanBuilder } from "./node.ts";
import { sayCalledOff, sayResume } from "../fold/uncordon.ts";
import { isSuppressed } from "../fold/suppression.ts";
import { darkness, keptBy } from "./kube.ts";
import { isResting } from "./rest.ts";
import { nodeIdOf } from "./offer.ts";

type At<K extends Phase["kind"]> = Extract<Phase, { kind: K }>;

/** Navarch's own cordon for a smaller pool starts with these words. */
export const SCALE_DOWN = "scale down";
/** A person named it: it leaves whatever runs on it, after a drain. */
export const REMOVED_BY_NAME = `${SCALE_DOWN}: removed by name`;

export function decideServing(node: Node, scope: Scope, plan: PlanBuilder): void {
  const { sight } = scope;
  const loss = lossOf(node, scope);
  if (loss !== null && node.health.silentSince !== null) return lose(node, scope, plan, loss);
  if (node.order !== null) return decideOrder(node, scope, plan);
  const verdict = verdictOfNode(node);
  if (verdict === "unhealthy" && !isSuppressed(node)) {
    const because = reasonsOf(node);
    return plan.advance({ kind: "suspect", since: sight.now }, "node.suspect", because, "open");
  }
  if (scope.candidates.has(node.id)) return decideScaleDown(node, scope, plan);
  const kept = node.cordon.product === null ? null : keptBy(node, scope);
  if (kept !== null) return plan.wait("human", kept);
  if (node.cordon.product !== null) {
    const why = node.cordon.product.why;
    return plan.act({
      kind: "effect",
      node: node.id,
      payload: {
        kind: "uncordon",
        why: "the reason to cordon it has passed",
        keep: showsPersonsCordon(node),
      },
      because: [`was: ${why}`],
    });
  }
  const isAttached = sight.kube !== null;
  const missing = isAttached ? missingNodeOf(node) : null;
  if (loss !== null)
    plan.wait("second_witness", `${loss}, but its agent reports: the cloud is not trusted`);
  else if (node.cordon.human !== null)
    plan.wait("human", `cordoned by ${node.cordon.human.by}: ${node.cordon.human.why}`);
  else if (verdict === "unhealthy" && node.waiver !== null)
    plan.wait("human", sayWaived(node, node.waiver));
  else if (missing !== null) plan.wait("human", sayMissing(node, missing));
  else if (node.kube !== null && node.kube.others.length > 0)
    plan.wait("human", `cordoned in Kubernetes by ${node.kube.others.join(", ")}`);
  else if (node.pool !== null && scope.pool === null) {
    const message = `its pool ${node.pool} is not in the configuration any more`;
    plan.wait("not_ours", `${message}: it is billed until a person terminates it`);
  }
}

/** Why nothing repairs a node that a person uncordoned, and what resumes its repair. */
function sayWaived(node: Node, { by, why }: Suppression): string {
  const faults = reasonsOf(node).join("; ");
  const off = sayCalledOff(node);
  if (off === null) return `returned to service by ${by} (${why}) despite: ${faults}`;
  return `${off}, despite: ${faults}. ${sayResume(node)}`;
}

/** One reason per incident, its root (docs/reference/xid.md#incidents). */
function reasonsOf(node: Node): string[] {
  const incidents = groupIncidents(node.health.held).filter(
    (incident) => incident.result === "unhealthy",
  );
  const reasons = incidents.map(({ root, findings }) => {
    const more = findings.length > 1 ? ` (and ${findings.length - 1} that follow from it)` : "";
    return `${root.judgement.because}${more}`;
  });
  if (node.health.silentSince !== null) reasons.push("its heartbeats stopped");
  return reasons.slice(0, 8);
}

function decideScaleDown(node: Node, scope: Scope, plan: PlanBuilder): void {
  const { sight } = scope;
  if (sight.blind.length > 0) return plan.wait("blind", sight.blind.join("; "));
  if (sight.frozen !== null) return plan.wait("human", `the fleet is frozen: ${sight.frozen}`);
  const dark = darkness(node, scope);
  if (dark !== null) return plan.wait("blind", dark);
  const kept = keptBy(node, scope);
  if (kept !== null) return plan.wait("human", kept);
  const why = `${SCALE_DOWN}: pool ${node.pool} wants ${scope.desired} nodes`;
  if (node.cordon.product === null) {
    return plan.act({
      kind: "effect",
      node: node.id,
      payload: { kind: "cordon", why },
      because: [why],
    });
  }
  plan.act({
    kind: "effect",
    node: node.id,
    payload: drainPayload(node, scope, "scale_down", null),
    because: [why],
  });
}

export function decideSuspect(node: Node, scope: Scope, plan: PlanBuilder, whole: Plan): void {
  const { pool } = scope;
  const loss = lossOf(node, scope);
  if (loss !== null && node.health.silentSince !== null) return lose(node, scope, plan, loss);
  if (node.order !== null) return decideOrder(node, scope, plan);
  if (scope.candidates.has(node.id)) return decideScaleDown(node, scope, plan);
  const verdict = verdictOfNode(node);
  if (verdict === "healthy" || verdict === "degraded") return decideRecovery(node, scope, plan);
  const proof = node.health.held.some(
    (h) => h.judgement.definitive && h.judgement.result === "unhealthy",
  );
  const threshold = pool?.health.unhealthyThreshold ?? 1;
  const reached = node.health.verdict === "unhealthy" && node.health.unhealthyRun >= threshold;
  const silent = node.health.silentSince !== null;
  if (node.cordon.product === null && (proof || reached || silent))
    return decideIsolation(node, scope, plan, proof);
  if (!reached) {
    if (silent && node.health.verdict !== "unhealthy" && isUnbought(node)) {
      return plan.wait("human", sayUnheard(node));
    }
    if (silent && node.health.verdict !== "unhealthy") {
      return plan.wait(
        "second_witness",
        `silent since ${iso(node.health.silentSince)}, but the cloud shows its instance running`,
      );
    }
    const run = `${node.health.unhealthyRun} of ${threshold} consecutive unhealthy evaluations`;
    return plan.wait(
      "threshold",
      `${run}: ${reasonsOf(node).join("; ")}`,
      node.health.lastCountedAt + scope.timing.checkIntervalMs,
    );
  }
  if (isUnbought(node)) return emptyUnbought(node, scope, plan);
  const { rung, until, skipped } = nextRung(node, scope);
  const veto = vetoOf(node, scope) ?? (rung === "reboot" ? null : vetoReplacement(node, scope));
  if (veto !== null) return plan.wait(veto.reason, veto.message, veto.until);
  if (isResting(until, scope.sight.now)) {
    return plan.wait("backoff", "the last reboot did not cure it; it rests before the next", until);
  }
  const relapse = rung === "reboot" ? null : relapseFor(node, scope);
  if (relapse !== null) return plan.wait(relapse.reason, relapse.message, relapse.until);
  if (!mayTake(node, rung ?? "replace", scope, plan)) return;
  if (rung === "reboot") {
    const payload = drainPayload(node, scope, "repair", null);
    const because = [...reasonsOf(node), ...skipped];
    return plan.act({ kind: "effect", node: node.id, payload, because });
  }
  if (pool?.replacement === "surge") return startSurge(node, scope, plan, whole);
  const because = [...reasonsOf(node), ...skipped];
  const payload = drainPayload(node, scope, "replace", null);
  plan.act({ kind: "effect", node: node.id, payload, because });
}

/** No cloud knows the machine, so only its agent or a person can confirm it. */
function sayUnheard(node: Node): string {
  const since = iso(node.health.silentSince);
  const next = `restart its agent, or run \`navarch forget ${node.id}\` once the machine is gone`;
  return `silent since ${since}, and this fleet did not buy it, so no cloud can be asked: ${next}`;
}

/**
 * A machine that Navarch did not buy cannot be repaired or replaced: it is drained without a
 * deadline and waits for a person.
 */
function emptyUnbought(node: Node, scope: Scope, plan: PlanBuilder): void {
  const veto = vetoOf(node, scope);
  if (veto !== null) return plan.wait(veto.reason, veto.message, veto.until);
  if (!mayTake(node, "reboot", scope, plan)) return;
  const payload = drainPayload(node, scope, "repair", 0);
  plan.act({ kind: "effect", node: node.id, payload, because: reasonsOf(node) });
}

type Veto = { reason: WaitReason; message: string; until: number | null };

/**
 * The first refusal to replace a node, with the time of the next look
 * (docs/reference/safety.md#admission).
 */
function vetoOf(node: Node, scope: Scope): Veto | null {
  const { sight, pool } = scope;
  const no = (reason: WaitReason, message: string, until: number | null = null): Veto => {
    return { reason, message, until };
  };
  if (node.cordon.human !== null) {
    const who = `${node.cordon.human.by} (${node.cordon.human.why})`;
    const next = isUnbought(node) ? "uncordon it" : "uncordon it, or order its replacement";
    return no("human", `cordoned by ${who}: ${next}`);
  }
  if (pool === null) {
    const said = node.agent?.inventory.pool ?? null;
    const why = said === null ? "its agent names no pool" : `pool ${said} is not configured`;
    return no("not_ours", `${why}: drain it and repair it by hand (navarch drain ${node.id})`);
  }
  if (node.instance === null && !isUnbought(node)) {
    return no("not_ours", "no instance of this fleet: a person has to repair it");
  }
  if (!pool.health.autoReplace) return no("not_ours", `auto_replace is off for pool ${pool.name}`);
  const paused = pausedBy(node, scope);
  if (paused !== null) return no("human", paused.message, paused.until);
  if (sight.blind.length > 0) return no("blind", sight.blind.join("; "));
  const dark = darkness(node, scope);
  return dark === null ? null : no("blind", dark);
}

/** Refusals that hold for any replacement, not only for repairs. */
function vetoReplacement(node: Node, scope: Scope): Veto | null {
  const { pool } = scope;
  if (pool === null) return null;
  if (!pool.repair.ladder.includes("replace")) {
    const skipped = nextRung(node, scope).skipped.join("; ");
    const message = `the ladder of pool ${pool.name} ends without replacement (${skipped})`;
    return { reason: "human", message, until: null };
  }
  const state = scope.fleet.pools.get(pool.name);
  // Between the guard's attempts nothing healthy is given up.
  const ceiling = ceilingFor(node, pool, scope);
  if (ceiling !== null) return { reason: "spend", message: ceiling, until: null };
  const hindrance = hindranceOf(pool, scope.sight);
  if (hindrance?.total === true) {
    const message = `nothing could replace it: ${hindrance.message}`;
    return { reason: "bootstrap", message, until: null };
  }
  const guard = state === undefined ? null : guardOfPool(pool, state, scope);
  if (guard !== null) {
    const why = `new nodes of pool ${pool.name} do not come up: nothing could replace it`;
    return { reason: "bootstrap_guard", message: why, until: guard.until };
  }
  return null;
}

/** Without breakers there is no guard either. */
function relapseFor(node: Node, { fleet, sight, breaks }: Scope): Veto | null {
  const relapse = breaks ? relapseOf(node, fleet.nodes) : null;
  if (relapse === null || !isResting(relapse.until, sight.now)) return null;
  const { lives, until } = relapse;
  const message =
    `${lives} machines in a row failed in this slot soon after they were bought: ` +
    "another one may not help, so it is bought later (replace it by hand to have it now)";
  return { reason: "backoff", message, until };
}

function decideIsolation(node: Node, scope: Scope, plan: PlanBuilder, proof: boolean): void {
  const { sight } = scope;
  if (sight.frozen !== null) return plan.wait("human", `the fleet is frozen: ${sight.frozen}`);
  const kept = keptBy(node, scope);
  if (kept !== null) return plan.wait("human", kept);
  if (sight.blind.length > 0 && !proof) return plan.wait("blind", sight.blind.join("; "));
  // Cordons for silence have a budget of their own, so that they do not delay evidence.
  const sick = proof || node.health.verdict === "unhealthy";
  const refusal = sick ? scope.budgets.refusal(node, "isolate") : null;
  if (refusal !== null) return plan.wait(refusal.kind, refusal.message, refusal.until);
  const budget = isEvident(node) ? null : sick ? scope.budget : scope.silence;
  if (budget !== null && !budget.take(node)) return plan.wait("budget", budget.tell(node));
  if (sick) scope.budgets.spend(node, "isolate");
  const because = reasonsOf(node);
  plan.act({
    kind: "effect",
    node: node.id,
    payload: { kind: "cordon", why: because.join("; ") },
    because,
  });
}

/** Recovered: Navarch's own cordon is lifted first, then the session closes; a person's stays. */
export function decideRecovery(node: Node, scope: Scope, plan: PlanBuilder): void {
  const check = node.health.lastCheckAt;
  if (check === null || check < (node.session?.openedAt ?? 0)) {
    return plan.wait("boot", "recovered; waits for one full check to confirm it");
  }
  const kept = keptBy(node, scope);
  if (kept !== null) return plan.wait("human", kept);
  if (node.cordon.product !== null) {
    return plan.act({
      kind: "effect",
      node: node.id,
      payload: { kind: "uncordon", why: "recovered", keep: showsPersonsCordon(node) },
      because: ["every held finding is cleared"],
    });
  }
  plan.advance(
    { kind: "serving", since: scope.sight.now },
    "node.recovered",
    ["every held finding is cleared"],
    isPutAside(node, scope) ? "quarantined" : "recovered",
  );
}

/** Buys first: the new node takes the same slot, and the old one waits until it is verified. */
function startSurge(node: Node, scope: Scope, plan: PlanBuilder, whole: Plan): void {
  const { pool, fleet, sight } = scope;
  const state = pool === null ? undefined : fleet.pools.get(pool.name);
  if (pool === null || state === undefined || node.slot === null)
    return plan.wait("not_ours", "no slot to fill");
  const other = (scope.bySlot.get(node.slot) ?? []).find((one) => one.id !== node.id);
  if (other !== undefined)
    return plan.wait(
      "replacement",
      `slot ${node.slot} still has ${other.id}, which is ${other.phase.kind}`,
    );
  const planned = whole.actions.filter((a) => a.kind === "admit" && a.pool === pool.name).length;
  const gen = state.nextGen + planned;
  const replacement = nodeIdOf(fleet.fleetId, pool.name, node.slot, gen) as NodeId;
  const because = reasonsOf(node);
  whole.actions.push({
    kind: "admit",
    node: replacement,
    pool: pool.name,
    slot: node.slot,
    gen,
    replaces: node.id,
    because: [`replacement for ${node.id} before it is drained (surge)`],
  });
  plan.advance({ kind: "replacing", since: sight.now, replacement }, "node.replacing", because);
}

export function decideReplacing(
  node: Node,
  phase: At<"replacing">,
  scope: Scope,
  plan: PlanBuilder,
): void {
  const { sight, fleet } = scope;
  const loss = lossOf(node, scope);
  if (loss !== null && node.health.silentSince !== null) return lose(node, scope, plan, loss);
  if (node.order?.force === true) return decideOrder(node, scope, plan);
  if (scope.candidates.has(node.id)) return decideScaleDown(node, scope, plan);
  const replacement = fleet.nodes.get(phase.replacement);
  const verdict = verdictOfNode(node);
  if (replacement?.phase.kind === "terminating") {
    return plan.wait(
      "confirmation",
      `its replacement ${replacement.id} did not come up and is being ended`,
    );
  }
  if (replacement === undefined || replacement.phase.kind === "gone") {
    return plan.advance({ kind: "suspect", since: sight.now }, "node.suspect", [
      `its replacement ${phase.replacement} did not come up`,
    ]);
  }
  if ((verdict === "healthy" || verdict === "degraded") && node.order === null) {
    // Afterwards the one that is easier to lose leaves as surplus.
    return plan.advance({ kind: "suspect", since: sight.now }, "node.recovered", [
      "recovered before the drain ended: the repair is cancelled",
    ]);
  }
  if (replacement.phase.kind === "serving") {
    if (sight.blind.length > 0) return plan.wait("blind", sight.blind.join("; "));
    const paused = pausedBy(node, scope);
    if (paused !== null) return plan.wait("human", paused.message, paused.until);
    if (node.cordon.human !== null && node.order === null) {
      return plan.wait(
        "human",
        `cordoned by ${node.cordon.human.by}: uncordon it, or order its replacement`,
      );
    }
    const because = [`${replacement.id} is verified and takes its place`];
    return plan.act({
      kind: "effect",
      node: node.id,
      payload: drainPayload(node, scope, "replace", null),
      because,
    });
  }
  plan.wait(
    "replacement",
    `${replacement.id} is ${replacement.phase.kind}; this node is ${verdict}`,
  );
}

function iso(at: number | null): string {
  return at === null ? "?" : new Date(at).toISOString();
}
