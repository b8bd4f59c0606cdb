/**
 * What happens to a serving node when evidence is held against it. Pure. A definitive hardware
 * finding isolates at once; the threshold gates the drain and everything after it. With
 * `auto_replace` the first destructive rung is replacement.
 */
import { groupIncidents } from "../../../health/policy/incident.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Node, Phase } from "../../../schema/node.ts";
import type { Plan, WaitReason } from "../../../schema/plan.ts";
import type { Waiver } from "../../../schema/waiver.ts";
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
import { lossOf, type Pen } from "./node.ts";
import { sayCalledOff, sayResume } from "../fold/uncordon.ts";
import { isWaived } from "../fold/waiver.ts";
import { darkness, keptBy } from "./kube.ts";
import { isResting } from "./rest.ts";
import { nodeIdOf } from "./offer.ts";

type At<K extends Phase["kind"]> = Extract<Phase, { kind: K }>;

/** The product's own cordon for a smaller pool starts with these words. */
export const SCALE_DOWN = "scale down";
/** A person named it: it leaves whatever runs on it, drained like any other. */
export const REMOVED_BY_NAME = `${SCALE_DOWN}: removed by name`;

export function decideServing(node: Node, scope: Scope, pen: Pen): void {
  const { sight } = scope;
  const loss = lossOf(node, scope);
  if (loss !== null && node.health.silentSince !== null) return lose(node, scope, pen, loss);
  if (node.order !== null) return decideOrder(node, scope, pen);
  const verdict = verdictOfNode(node);
  if (verdict === "unhealthy" && !isWaived(node)) {
    const because = reasonsOf(node);
    return pen.advance({ kind: "suspect", since: sight.now }, "node.suspect", because, "open");
  }
  if (scope.victims.has(node.id)) return decideVictim(node, scope, pen);
  const kept = node.cordon.product === null ? null : keptBy(node, scope);
  if (kept !== null) return pen.wait("human", kept);
  if (node.cordon.product !== null) {
    const why = node.cordon.product.why;
    return pen.act({
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
    pen.wait("second_witness", `${loss}, but its agent speaks: the cloud is doubted`);
  else if (node.cordon.human !== null)
    pen.wait("human", `cordoned by ${node.cordon.human.by}: ${node.cordon.human.why}`);
  else if (verdict === "unhealthy" && node.waiver !== null)
    pen.wait("human", sayWaived(node, node.waiver));
  else if (missing !== null) pen.wait("human", sayMissing(node, missing));
  else if (node.kube !== null && node.kube.others.length > 0)
    pen.wait("human", `cordoned in Kubernetes by ${node.kube.others.join(", ")}`);
  else if (node.pool !== null && scope.pool === null) {
    const message = `its pool ${node.pool} is not in the configuration any more`;
    pen.wait("not_ours", `${message}: it is billed until a person terminates it`);
  }
}

/** Why nothing repairs a node that a person gave back, and what resumes its repair. */
function sayWaived(node: Node, { by, why }: Waiver): string {
  const faults = reasonsOf(node).join("; ");
  const off = sayCalledOff(node);
  if (off === null) return `returned to service by ${by} (${why}) despite: ${faults}`;
  return `${off}, despite: ${faults}. ${sayResume(node)}`;
}

/**
 * One reason an incident, its root: followers are evidence and never a second cause
 * (docs/reference/xid.md#incidents).
 */
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

function decideVictim(node: Node, scope: Scope, pen: Pen): void {
  const { sight } = scope;
  if (sight.blind.length > 0) return pen.wait("blind", sight.blind.join("; "));
  if (sight.frozen !== null) return pen.wait("human", `the fleet is frozen: ${sight.frozen}`);
  const dark = darkness(node, scope);
  if (dark !== null) return pen.wait("blind", dark);
  const kept = keptBy(node, scope);
  if (kept !== null) return pen.wait("human", kept);
  const why = `${SCALE_DOWN}: pool ${node.pool} wants ${scope.desired} nodes`;
  if (node.cordon.product === null) {
    return pen.act({
      kind: "effect",
      node: node.id,
      payload: { kind: "cordon", why },
      because: [why],
    });
  }
  pen.act({
    kind: "effect",
    node: node.id,
    payload: drainPayload(node, scope, "scale_down", null),
    because: [why],
  });
}

export function decideSuspect(node: Node, scope: Scope, pen: Pen, plan: Plan): void {
  const { pool } = scope;
  const loss = lossOf(node, scope);
  if (loss !== null && node.health.silentSince !== null) return lose(node, scope, pen, loss);
  if (node.order !== null) return decideOrder(node, scope, pen);
  if (scope.victims.has(node.id)) return decideVictim(node, scope, pen);
  const verdict = verdictOfNode(node);
  if (verdict === "healthy" || verdict === "degraded") return decideRecovery(node, scope, pen);
  const proof = node.health.held.some(
    (h) => h.judgement.definitive && h.judgement.result === "unhealthy",
  );
  const threshold = pool?.health.unhealthyThreshold ?? 1;
  const reached = node.health.verdict === "unhealthy" && node.health.unhealthyRun >= threshold;
  const silent = node.health.silentSince !== null;
  if (node.cordon.product === null && (proof || reached || silent))
    return decideIsolation(node, scope, pen, proof);
  if (!reached) {
    if (silent && node.health.verdict !== "unhealthy" && isUnbought(node)) {
      return pen.wait("human", sayUnheard(node));
    }
    if (silent && node.health.verdict !== "unhealthy") {
      return pen.wait(
        "second_witness",
        `silent since ${iso(node.health.silentSince)}, but the cloud shows its instance running`,
      );
    }
    const run = `${node.health.unhealthyRun} of ${threshold} consecutive unhealthy evaluations`;
    return pen.wait(
      "threshold",
      `${run}: ${reasonsOf(node).join("; ")}`,
      node.health.lastCountedAt + scope.timing.checkIntervalMs,
    );
  }
  if (isUnbought(node)) return emptyUnbought(node, scope, pen);
  const { rung, until, skipped } = nextRung(node, scope);
  const veto = vetoOf(node, scope) ?? (rung === "reboot" ? null : vetoReplacement(node, scope));
  if (veto !== null) return pen.wait(veto.reason, veto.message, veto.until);
  if (isResting(until, scope.sight.now)) {
    return pen.wait("backoff", "the last reboot did not cure it; it rests before the next", until);
  }
  const relapse = rung === "reboot" ? null : relapseFor(node, scope);
  if (relapse !== null) return pen.wait(relapse.reason, relapse.message, relapse.until);
  if (!mayTake(node, rung ?? "replace", scope, pen)) return;
  if (rung === "reboot") {
    const payload = drainPayload(node, scope, "repair", null);
    const because = [...reasonsOf(node), ...skipped];
    return pen.act({ kind: "effect", node: node.id, payload, because });
  }
  if (pool?.replacement === "surge") return startSurge(node, scope, pen, plan);
  const because = [...reasonsOf(node), ...skipped];
  const payload = drainPayload(node, scope, "replace", null);
  pen.act({ kind: "effect", node: node.id, payload, because });
}

/** No cloud knows the machine, so only its agent or a person can tell whether it is there. */
function sayUnheard(node: Node): string {
  const since = iso(node.health.silentSince);
  const next = `restart its agent, or run \`navarch forget ${node.id}\` once the machine is gone`;
  return `silent since ${since}, and this fleet did not buy it, so no cloud can be asked: ${next}`;
}

/**
 * Nothing can repair or replace a machine that nobody bought: it is emptied like the rest of its
 * pool, without a deadline because nothing ends it, and waits for a person.
 */
function emptyUnbought(node: Node, scope: Scope, pen: Pen): void {
  const veto = vetoOf(node, scope);
  if (veto !== null) return pen.wait(veto.reason, veto.message, veto.until);
  if (!mayTake(node, "reboot", scope, pen)) return;
  const payload = drainPayload(node, scope, "repair", 0);
  pen.act({ kind: "effect", node: node.id, payload, because: reasonsOf(node) });
}

type Veto = { reason: WaitReason; message: string; until: number | null };

/**
 * Admission (docs/reference/safety.md#admission): the first "no" to replacing a node, with when to
 * look again.
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

/** What speaks against losing the node for another one, beyond any repair. */
function vetoReplacement(node: Node, scope: Scope): Veto | null {
  const { pool } = scope;
  if (pool === null) return null;
  if (!pool.repair.ladder.includes("replace")) {
    const skipped = nextRung(node, scope).skipped.join("; ");
    const message = `the ladder of pool ${pool.name} ends without replacement (${skipped})`;
    return { reason: "human", message, until: null };
  }
  const state = scope.fleet.pools.get(pool.name);
  // Between the tries of the guard nothing healthy is given up for a node that would not come up.
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

/** Who has no use for breakers has none for this either. */
function relapseFor(node: Node, { fleet, sight, breaks }: Scope): Veto | null {
  const relapse = breaks ? relapseOf(node, fleet.nodes) : null;
  if (relapse === null || !isResting(relapse.until, sight.now)) return null;
  const { lives, until } = relapse;
  const message =
    `${lives} machines in a row failed in this slot soon after they were bought: ` +
    "another one may not help, so it is bought later (replace it by hand to have it now)";
  return { reason: "backoff", message, until };
}

function decideIsolation(node: Node, scope: Scope, pen: Pen, proof: boolean): void {
  const { sight } = scope;
  if (sight.frozen !== null) return pen.wait("human", `the fleet is frozen: ${sight.frozen}`);
  const kept = keptBy(node, scope);
  if (kept !== null) return pen.wait("human", kept);
  if (sight.blind.length > 0 && !proof) return pen.wait("blind", sight.blind.join("; "));
  // Silence takes a node out by itself; marking it spends a budget of its own, so that evidence is
  // not held up.
  const sick = proof || node.health.verdict === "unhealthy";
  const refusal = sick ? scope.budgets.refusal(node, "isolate") : null;
  if (refusal !== null) return pen.wait(refusal.kind, refusal.message, refusal.until);
  const budget = isEvident(node) ? null : sick ? scope.budget : scope.silence;
  if (budget !== null && !budget.take(node)) return pen.wait("budget", budget.tell(node));
  if (sick) scope.budgets.spend(node, "isolate");
  const because = reasonsOf(node);
  pen.act({
    kind: "effect",
    node: node.id,
    payload: { kind: "cordon", why: because.join("; ") },
    because,
  });
}

/**
 * Well again: the product's own cordon goes first, then the session closes; a person's cordon
 * stays.
 */
export function decideRecovery(node: Node, scope: Scope, pen: Pen): void {
  const check = node.health.lastCheckAt;
  if (check === null || check < (node.session?.openedAt ?? 0)) {
    return pen.wait("boot", "well again; waits for one full check to say so");
  }
  const kept = keptBy(node, scope);
  if (kept !== null) return pen.wait("human", kept);
  if (node.cordon.product !== null) {
    return pen.act({
      kind: "effect",
      node: node.id,
      payload: { kind: "uncordon", why: "recovered", keep: showsPersonsCordon(node) },
      because: ["every held finding is cleared"],
    });
  }
  pen.advance(
    { kind: "serving", since: scope.sight.now },
    "node.recovered",
    ["every held finding is cleared"],
    isPutAside(node, scope) ? "quarantined" : "recovered",
  );
}

/** Replace first: the new node takes the same slot, and the old one waits until it is verified. */
function startSurge(node: Node, scope: Scope, pen: Pen, plan: Plan): void {
  const { pool, fleet, sight } = scope;
  const state = pool === null ? undefined : fleet.pools.get(pool.name);
  if (pool === null || state === undefined || node.slot === null)
    return pen.wait("not_ours", "no slot to fill");
  const other = (scope.bySlot.get(node.slot) ?? []).find((one) => one.id !== node.id);
  if (other !== undefined)
    return pen.wait(
      "replacement",
      `slot ${node.slot} still has ${other.id}, which is ${other.phase.kind}`,
    );
  const planned = plan.actions.filter((a) => a.kind === "admit" && a.pool === pool.name).length;
  const gen = state.nextGen + planned;
  const replacement = nodeIdOf(fleet.fleetId, pool.name, node.slot, gen) as NodeId;
  const because = reasonsOf(node);
  plan.actions.push({
    kind: "admit",
    node: replacement,
    pool: pool.name,
    slot: node.slot,
    gen,
    replaces: node.id,
    because: [`replacement for ${node.id} before it is drained (surge)`],
  });
  pen.advance({ kind: "replacing", since: sight.now, replacement }, "node.replacing", because);
}

export function decideReplacing(node: Node, phase: At<"replacing">, scope: Scope, pen: Pen): void {
  const { sight, fleet } = scope;
  const loss = lossOf(node, scope);
  if (loss !== null && node.health.silentSince !== null) return lose(node, scope, pen, loss);
  if (node.order?.force === true) return decideOrder(node, scope, pen);
  if (scope.victims.has(node.id)) return decideVictim(node, scope, pen);
  const replacement = fleet.nodes.get(phase.replacement);
  const verdict = verdictOfNode(node);
  if (replacement?.phase.kind === "terminating") {
    return pen.wait(
      "confirmation",
      `its replacement ${replacement.id} did not come up and is being ended`,
    );
  }
  if (replacement === undefined || replacement.phase.kind === "gone") {
    return pen.advance({ kind: "suspect", since: sight.now }, "node.suspect", [
      `its replacement ${phase.replacement} did not come up`,
    ]);
  }
  if ((verdict === "healthy" || verdict === "degraded") && node.order === null) {
    // Whichever of the two is easier to spare then goes as what no slot wants.
    return pen.advance({ kind: "suspect", since: sight.now }, "node.recovered", [
      "well again before it was drained: the repair is called off",
    ]);
  }
  if (replacement.phase.kind === "serving") {
    if (sight.blind.length > 0) return pen.wait("blind", sight.blind.join("; "));
    const paused = pausedBy(node, scope);
    if (paused !== null) return pen.wait("human", paused.message, paused.until);
    if (node.cordon.human !== null && node.order === null) {
      return pen.wait(
        "human",
        `cordoned by ${node.cordon.human.by}: uncordon it, or order its replacement`,
      );
    }
    const because = [`${replacement.id} is verified and takes its place`];
    return pen.act({
      kind: "effect",
      node: node.id,
      payload: drainPayload(node, scope, "replace", null),
      because,
    });
  }
  pen.wait(
    "replacement",
    `${replacement.id} is ${replacement.phase.kind}; this node is ${verdict}`,
  );
}

function iso(at: number | null): string {
  return at === null ? "?" : new Date(at).toISOString();
}
