/**
 * Admission (docs/reference/safety.md#admission): decides whether a node may be given up or bought
 * now. It checks pauses, budgets, the pool's bootstrap guard and spending ceilings. Pure.
 */
import type { PoolConfig } from "../../../schema/config.ts";
import type { Node, PoolState } from "../../../schema/node.ts";
import type { Wait } from "../plan.ts";
import type { WaitReason } from "../../../schema/plan.ts";
import { isUnbought, type Sight } from "../fleet.ts";
import { strandedWhy } from "../reach.ts";
import { guardKey, guardOf, isSuspect } from "../safety/guard.ts";
import { ruleKeyOf } from "../safety/cause.ts";
import { isLostOnly, lossDoubt } from "../safety/cluster-loss.ts";
import { isDefinitive } from "../safety/evident.ts";
import type { Scope } from "./decide.ts";
import { heldInSlurm } from "../slurm/hold.ts";
import { keptBy } from "../kubernetes/hold.ts";
import type { PlanBuilder } from "./node.ts";
import { priceOf, tryingKeys } from "./buy.ts";
import { offersOf, priceBar } from "./offer.ts";
import { isResting } from "../turn/backoff.ts";
import type { Held } from "../say/hold.ts";
import type { Spending } from "../say/limit.ts";
import type { WaitCause } from "../say/wait.ts";

/** Why an action may not start now. `until`: the next look; `null` = with the next report. */
export type Veto = Pick<Wait, "reason" | "why" | "until">;

/** `null` without a cause. */
export function vetoIf(reason: WaitReason, why: WaitCause | null): Veto | null {
  return why === null ? null : { reason, why, until: null };
}

export function blindness({ blind }: Sight): Veto | null {
  return vetoIf("blind", blind.length === 0 ? null : { code: "blind", why: blind });
}

export function frozen({ frozen: why }: Pick<Sight, "frozen">): Veto | null {
  return vetoIf("human", why === null ? null : { code: "frozen", why });
}

/** Why a freeze stops the node's cordon; `null` = none does, or its fault is definitive. */
export function frozenCordon(node: Node, sight: Pick<Sight, "frozen" | "frozenAll">): Veto | null {
  return !sight.frozenAll && isDefinitive(node) ? null : frozen(sight);
}

/**
 * What pauses automation for this node: its cloud is not in the configuration, the fleet's freeze,
 * the Node's hold, what others do to it in Slurm, doubts about its cluster or the pool's hold;
 * `null` = none, or a person ordered the action.
 */
export function pausedBy(node: Node, scope: Pick<Scope, "sight" | "fleet" | "pool">): Veto | null {
  const { sight, fleet, pool } = scope;
  if (node.order !== null) return null;
  const paused =
    heldByCloud(node, sight) ??
    frozen(sight) ??
    vetoIf("human", keptBy(node, scope)) ??
    vetoIf("human", theirsOn(node)) ??
    clusterDoubt(node, scope);
  if (paused !== null || pool === null) return paused;
  return heldPool(fleet.pools.get(pool.name), sight);
}

/** Why a node against which only its cluster speaks is not repaired on that word now. */
export function clusterDoubt(node: Node, { sight, fleet }: Pick<Scope, "sight" | "fleet">) {
  if (!isLostOnly(node)) return null;
  if (sight.kube === null) return vetoIf("cluster", { code: "no_cluster" });
  return vetoIf("cluster", lossDoubt(node, fleet.nodes.values()));
}

/** Why it waits for what others do in Slurm, and what ends the wait. */
export function theirsOn(node: Node): Held | null {
  const held = heldInSlurm(node);
  if (held === null) return null;
  const order = isUnbought(node) ? "drain" : "replace";
  return { code: "held_in_slurm", ...held, order, node: node.id };
}

/** A node whose cloud the configuration lacks: a call that ends it would reach another, or none. */
export function heldByCloud(node: Node, { providers }: Pick<Sight, "providers">): Veto | null {
  const why = strandedWhy(node, providers);
  return vetoIf("provider", why === null ? null : { code: "stranded", why });
}

/** The pool's hold while it lasts. */
export function heldPool(state: PoolState | undefined, sight: Sight): Veto | null {
  const hold = state?.hold ?? null;
  if (hold === null || hold.until <= sight.now) return null;
  const { by, why, until } = hold;
  return { reason: "human", why: { code: "pool_held", pool: state?.name ?? "", by, why }, until };
}

/** Takes room to lose this node from the budgets of its pool and of every scope around it. */
export function mayTake(
  node: Node,
  rung: "reboot" | "replace",
  scope: Scope,
  plan: PlanBuilder,
): boolean {
  const refusal = scope.budgets.refusal(node, rung);
  if (refusal !== null) {
    plan.wait(refusal.kind, refusal.why);
    return false;
  }
  if (scope.budget !== null && !scope.budget.take(node)) {
    plan.wait("budget", scope.budget.full(node));
    return false;
  }
  scope.budgets.spend(node, rung);
  return true;
}

/**
 * Refuses to give up a healthy node while, at every offer of its pool, new nodes do not come up and
 * the one allowed attempt is running or not due (docs/reference/safety.md).
 */
export function guardOfPool(pool: PoolConfig, state: PoolState, scope: Scope): Veto | null {
  const trying = tryingKeys(scope);
  let until: number | null = null;
  for (const offer of offersOf(pool)) {
    const key = guardKey(pool, offer.key);
    const guard = guardOf(state, key);
    if (guard === null || !isSuspect(guard)) return null;
    const due = !isResting(guard.notBefore, scope.sight.now);
    if (due && !trying.has(key)) return null;
    if (!due) until = Math.min(until ?? Infinity, guard.notBefore);
  }
  return { reason: "bootstrap_guard", why: { code: "nodes_fail", pool: pool.name }, until };
}

/**
 * The ceiling or `max_price` that would refuse the node's replacement, or `null`. It is checked
 * before the drain; a node that is drained first frees its own place.
 */
export function ceilingFor(node: Node, pool: PoolConfig, scope: Scope): Spending | null {
  const { pricePerHour = null, provider = null } = node.instance ?? {};
  const freed =
    pool.replacement === "surge"
      ? { instances: 0, perHour: 0, provider }
      : { instances: 1, perHour: pricePerHour ?? 0, provider };
  const refusals = offersOf(pool).map((offer) => {
    const price = priceOf(offer, scope);
    const ask = { pool: pool.name, provider: offer.provider, price, replaces: true };
    return priceBar(offer, price) ?? scope.spendBudget.refusal(ask, freed);
  });
  return refusals.some((why) => why === null) ? null : (refusals[0] ?? null);
}

/** Whether the node recovered only because the rule of its finding is suspended. */
export function hasSuspendedFinding(node: Node, scope: Scope): boolean {
  const suspended = node.health.aside ?? [];
  return suspended.some(({ judgement }) =>
    scope.fleet.facts.has(`quarantine:${ruleKeyOf(judgement)}`),
  );
}
