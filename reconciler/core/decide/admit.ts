/**
 * Admission (docs/reference/safety.md#admission): whether a node may be given up or bought now, by
 * the budgets around it, by what new nodes of its pool do, and by what it costs. Pure.
 */
import type { PoolConfig } from "../../../schema/config.ts";
import type { Node, PoolState } from "../../../schema/node.ts";
import { guardKey, guardOf, isSuspect } from "../safety/guard.ts";
import { ruleKeyOf } from "../safety/rule-key.ts";
import type { Scope } from "./decide.ts";
import { keptBy } from "./kube.ts";
import type { PlanBuilder } from "./node.ts";
import { type Offer, offersOf } from "./offer.ts";
import { isResting } from "./rest.ts";

/**
 * A person's word that stops what the product would do to the node by itself: the fleet's freeze or
 * the pool's hold; `null` = none, or the node is out by a person's own order.
 */
export function pausedBy(
  node: Node,
  scope: Pick<Scope, "sight" | "fleet" | "pool">,
): { message: string; until: number | null } | null {
  const { sight, fleet, pool } = scope;
  if (node.order !== null) return null;
  if (sight.frozen !== null) {
    return { message: `the fleet is frozen: ${sight.frozen}`, until: null };
  }
  const kept = keptBy(node, scope);
  if (kept !== null) return { message: kept, until: null };
  const hold = pool === null ? null : (fleet.pools.get(pool.name)?.hold ?? null);
  if (hold === null || hold.until <= sight.now) return null;
  return { message: `pool ${pool?.name} is held by ${hold.by}: ${hold.why}`, until: hold.until };
}

/** Whether there is room to lose this node in its pool and in every scope around it; spends it. */
export function mayTake(
  node: Node,
  rung: "reboot" | "replace",
  scope: Scope,
  plan: PlanBuilder,
): boolean {
  const refusal = scope.budgets.refusal(node, rung);
  if (refusal !== null) {
    plan.wait(refusal.kind, refusal.message, refusal.until);
    return false;
  }
  if (scope.budget !== null && !scope.budget.take(node)) {
    plan.wait("budget", scope.budget.tell(node));
    return false;
  }
  scope.budgets.spend(node, rung);
  return true;
}

/** Places and set-ups of which a node is on its way up. */
export function tryingKeys(scope: Scope): Set<string> {
  if (scope.trying !== null) return scope.trying;
  const keys = new Set<string>();
  scope.trying = keys;
  for (const nodes of scope.bySlot.values()) {
    for (const { phase, offer, operation } of nodes) {
      const arriving =
        phase.kind === "booting" || phase.kind === "bootstrapping" || phase.kind === "verifying";
      if (arriving && offer !== null) keys.add(offer);
      const payload = operation === null ? null : scope.fleet.operations.get(operation)?.payload;
      if (payload?.kind === "create" && payload.guard !== null) keys.add(payload.guard);
    }
  }
  return keys;
}

/**
 * Why nothing healthy may be given up in this pool: wherever it could buy, nodes do not come up,
 * and the one try that is allowed is out or not due (docs/reference/safety.md).
 */
export function guardOfPool(
  pool: PoolConfig,
  state: PoolState,
  scope: Scope,
): { until: number | null } | null {
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
  return { until };
}

/**
 * The ceiling that would stand in the way of the node's replacement, or `null`: a node that is
 * drained first frees its own place, and one that is not drained yet is not given up for nothing.
 */
export function ceilingFor(node: Node, pool: PoolConfig, scope: Scope): string | null {
  const price = node.instance?.pricePerHour ?? null;
  const provider = node.instance?.provider ?? null;
  const freed =
    pool.replacement === "surge"
      ? { instances: 0, perHour: 0, provider }
      : { instances: 1, perHour: price ?? 0, provider };
  const refusals = offersOf(pool).map((offer) => {
    const ask = { pool: pool.name, provider: offer.provider, price: priceOf(offer, scope) };
    return scope.spendBudget.refusal(ask, freed);
  });
  return refusals.some((why) => why === null) ? null : (refusals[0] ?? null);
}

/** What an instance of the offer costs an hour: as the provider tells, else as the last one did. */
export function priceOf(offer: Offer, scope: Scope): number | null {
  const known = scope.prices.get(offer.key);
  if (known !== undefined) return known;
  const price = readPrice(offer, scope);
  scope.prices.set(offer.key, price);
  return price;
}

function readPrice(offer: Offer, { sight, fleet }: Scope): number | null {
  const told = sight.providers.get(offer.provider)?.prices.get(offer.instanceType) ?? null;
  if (told !== null) return told;
  for (const { instance } of fleet.nodes.values()) {
    if (instance?.provider !== offer.provider || instance.region !== offer.region) continue;
    if (instance.instanceType === offer.instanceType && instance.pricePerHour !== null) {
      return instance.pricePerHour;
    }
  }
  return null;
}

/** Well only because the rule that condemned it does not count any more. */
export function isPutAside(node: Node, scope: Scope): boolean {
  const aside = node.health.aside ?? [];
  return aside.some(({ judgement }) => scope.fleet.facts.has(`quarantine:${ruleKeyOf(judgement)}`));
}
