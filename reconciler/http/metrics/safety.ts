/**
 * The gauges of the safety machinery: what is stopped, how much of each limit is used, what is
 * billed. One series per scope; a rack has one only while it is in use or slowed down, so the
 * number of series does not grow with the fleet.
 */
import { WAIT_REASONS } from "../../../schema/plan.ts";
import { BREAKER_STATES, factsOf } from "../../../schema/safety.ts";
import type { Reconciler } from "../../runtime/loop.ts";
import { offersOf } from "../../core/decide/offer.ts";
import { impairmentOf } from "../../core/safety/impaired.ts";
import { restsOf } from "../../core/safety/rest.ts";
import { openSpendBudget } from "../../core/safety/spend.ts";
import { countWaits, freezeOf, holdOf, roomsOf, stillBilled } from "../view/safety.ts";
import { Series, single } from "./series.ts";
import { parseInstant } from "../../../schema/instant.ts";

/** A generator, because the budgets of a large fleet take a while. */
export function* formatSafety(reconciler: Reconciler): Generator<Uint8Array> {
  yield* takeAll(formatStops(reconciler));
  yield* takeAll(formatLimits(reconciler));
  yield* takeAll(formatSpend(reconciler));
  yield* takeAll(formatBilled(reconciler));
  yield* takeAll(formatOffers(reconciler));
  yield* takeAll(formatProviders(reconciler));
}

/** No series before the first observation, as on a standby without providers. */
function formatProviders(reconciler: Reconciler): Series[] {
  const usable = new Series("navarch_provider_usable");
  const providers = reconciler.lastSight()?.providers;
  for (const { name, type } of reconciler.activeConfig().providers) {
    const sight = providers?.get(name);
    if (sight !== undefined) usable.add({ provider: name, type }, impairmentOf(sight) ? 0 : 1);
  }
  return [usable];
}

function* takeAll(all: readonly Series[]): Generator<Uint8Array> {
  for (const series of all) yield series.take();
}

function formatStops(reconciler: Reconciler): Series[] {
  const { facts, pools } = reconciler.fleet();
  const sight = reconciler.lastSight();
  const now = sight?.now ?? 0;
  const stopped = new Series("navarch_safety_frozen");
  const isBlind = (sight?.blind.length ?? 0) > 0;
  const all = freezeOf(facts, now) !== null || isBlind || reconciler.failure() !== null;
  stopped.add({ pool: "" }, all ? 1 : 0);
  for (const { name } of reconciler.activeConfig().pools) {
    stopped.add({ pool: name }, all || holdOf(pools.get(name), now) !== null ? 1 : 0);
  }
  const blind = single("navarch_safety_blind", isBlind ? 1 : 0);
  const suspended = factsOf(facts, "quarantine").length;
  const quarantined = single("navarch_safety_quarantined_rules", suspended);
  const known = factsOf(facts, "lemon");
  const lemons = single("navarch_safety_lemons", known.length);
  const refusals = new Series("navarch_safety_lemon_refusals_total", "counter");
  const refused = known.reduce((sum, lemon) => sum + lemon.refused, 0);
  refusals.add({}, refused);
  const waits = new Series("navarch_plan_waits");
  const counts = countWaits(reconciler.lastPlan());
  for (const reason of WAIT_REASONS) waits.add({ reason }, counts[reason] ?? 0);
  return [stopped, blind, quarantined, lemons, refusals, waits];
}

function formatLimits(reconciler: Reconciler): Series[] {
  const fleet = reconciler.fleet();
  const used = new Series("navarch_safety_budget_used");
  const max = new Series("navarch_safety_budget_max");
  const state = new Series("navarch_safety_breaker_state");
  const rooms = roomsOf({
    fleet,
    config: reconciler.activeConfig(),
    sight: reconciler.lastSight(),
    plan: reconciler.lastPlan(),
    broken: null,
    now: reconciler.lastSight()?.now ?? 0,
  });
  const breakers = new Map(factsOf(fleet.facts, "breaker").map((one) => [one.scope, one.state]));
  const scopes = new Set([...rooms.map(({ scope }) => scope), ...breakers.keys()]);
  for (const { scope, rung, used: now, max: most } of rooms) {
    used.add({ scope, rung }, now);
    max.add({ scope, rung }, most);
  }
  for (const scope of scopes) {
    const is = breakers.get(scope) ?? "closed";
    for (const one of ["closed", ...BREAKER_STATES]) {
      state.add({ scope, state: one }, one === is ? 1 : 0);
    }
  }
  return [used, max, state];
}

function formatSpend(reconciler: Reconciler): Series[] {
  const dollars = new Series("navarch_spend_dollars_per_hour");
  const ceiling = new Series("navarch_spend_ceiling_dollars_per_hour");
  const instances = new Series("navarch_spend_instances");
  const most = new Series("navarch_spend_ceiling_instances");
  const unknown = new Series("navarch_spend_unknown_prices");
  const month = new Series("navarch_spend_ceiling_dollars_per_month");
  const now = reconciler.lastSight()?.now ?? 0;
  const budget = openSpendBudget(reconciler.fleet(), reconciler.activeConfig(), now);
  for (const bill of budget.bills()) {
    const { scope } = bill;
    dollars.add({ scope }, bill.perHour);
    instances.add({ scope }, bill.instances);
    unknown.add({ scope }, bill.unknown);
    if (bill.ceiling.perHourMax !== null) ceiling.add({ scope }, bill.ceiling.perHourMax);
    if (bill.ceiling.perMonthMax !== null) month.add({ scope }, bill.ceiling.perMonthMax);
    if (bill.ceiling.instancesMax !== null) most.add({ scope }, bill.ceiling.instancesMax);
  }
  return [dollars, ceiling, month, instances, most, unknown];
}

/** Instances whose termination is not confirmed are paid for (docs/reference/safety.md#spend). */
function formatBilled(reconciler: Reconciler): Series[] {
  const count = new Series("navarch_instances_still_billing");
  const oldest = new Series("navarch_instances_still_billing_seconds");
  const now = reconciler.lastSight()?.now;
  if (now === undefined) return [count, oldest];
  const providers = new Map<string, { count: number; ageMs: number }>();
  for (const { name } of reconciler.activeConfig().providers) {
    providers.set(name, { count: 0, ageMs: 0 });
  }
  for (const { provider, since } of stillBilled(reconciler.fleet().nodes.values())) {
    const known = providers.get(provider) ?? { count: 0, ageMs: 0 };
    const ageMs = Math.max(known.ageMs, now - parseInstant(since));
    providers.set(provider, { count: known.count + 1, ageMs });
  }
  for (const [provider, known] of providers) {
    count.add({ provider }, known.count);
    oldest.add({ provider }, known.ageMs / 1_000);
  }
  return [count, oldest];
}

/** The longest back-off of each place's scopes; no series for a place that was never refused. */
function formatOffers(reconciler: Reconciler): Series[] {
  const series = new Series("navarch_provider_offer_backoff_seconds");
  const now = reconciler.lastSight()?.now;
  if (now === undefined) return [series];
  const { facts } = reconciler.fleet();
  const longest = new Map<string, { labels: Record<string, string>; ms: number }>();
  for (const offer of reconciler.activeConfig().pools.flatMap(offersOf)) {
    const { provider, region, instanceType } = offer;
    const labels = { provider, region: region ?? "", type: instanceType };
    const name = JSON.stringify(labels);
    for (const { notBefore } of restsOf(facts, offer)) {
      const ms = Math.max(0, notBefore - now, longest.get(name)?.ms ?? 0);
      longest.set(name, { labels, ms });
    }
  }
  for (const { labels, ms } of longest.values()) series.add(labels, ms / 1_000);
  return [series];
}
