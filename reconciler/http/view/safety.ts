/**
 * What the safety machinery holds back and why, for the HTTP API, the metrics and explanations.
 * Made from the facts, configuration and newest plan that the loop acted on. Pure.
 */
import type {
  BilledView,
  BreakerView,
  FreezeView,
  HoldView,
  RoomView,
  SafetyView,
  SuspectView,
  UncountedView,
} from "../../../schema/api.ts";
import type { Config, PoolConfig } from "../../../schema/config.ts";
import type { Node, PoolState } from "../../../schema/node.ts";
import type { Plan } from "../../core/plan.ts";
import { formatDuration } from "../../../schema/duration.ts";
import { type Fact, type FactOf, factsOf, sayFreezeEffect } from "../../../schema/safety.ts";
import { isResting } from "../../core/turn/backoff.ts";
import { offersOf } from "../../core/decide/offer.ts";
import type { Fleet, Sight } from "../../core/fleet.ts";
import { sharedIn, strandedIn } from "../../core/reach.ts";
import type { ProviderClass } from "../../core/provider.ts";
import { openBudgets } from "../../core/safety/budget.ts";
import { guardKey, guardOf, isSuspect } from "../../core/safety/guard.ts";
import { rateOf } from "../../core/safety/rate.ts";
import { FLEET, scopesOf, sizesOf } from "../../core/safety/scope.ts";
import { openSpendBudget } from "../../core/safety/spend.ts";
import { frozenBy } from "../../core/safety/step.ts";
import { countUncounted, type Uncounted } from "../../core/safety/uncounted.ts";
import { endingSince, iso, isoOrNull } from "./node.ts";
import { sayStranded } from "../../core/say/loss.ts";

/** Rows of a list that could be as long as the fleet. */
const SHOWN_MAX = 20;

/** What each provider class guarantees after any crash (docs/reference/providers.md#classes). */
const GUARANTEE: Record<ProviderClass, string> = {
  token: "exactly-once",
  name: "exactly-once",
  "tag-only": "bounded surplus",
};

/** What the view is made of. */
export type SafetySource = {
  fleet: Fleet;
  config: Config;
  /** `null` before the first observation. */
  sight: Sight | null;
  plan: Plan;
  /** Why the loop, or a pool of it, does not act. */
  broken: string | null;
  now: number;
};

export function viewSafety(from: SafetySource): SafetyView {
  const { fleet, config, sight, plan, now } = from;
  const { facts } = fleet;
  const lemons = factsOf(facts, "lemon").sort((a, b) => b.lastAt - a.lastAt);
  const [rate] = factsOf(facts, "rate");
  const wanted = sizesOf(fleet, config).get(FLEET)?.slots ?? 0;
  return {
    frozen: freezeOf(facts, now),
    blind: sight?.blind ?? [],
    broken: from.broken,
    holds: config.pools.flatMap(({ name }) => {
      const hold = holdOf(fleet.pools.get(name), now);
      return hold === null ? [] : [{ pool: name, ...hold }];
    }),
    breakers: factsOf(facts, "breaker").map(viewBreaker),
    quarantined: factsOf(facts, "quarantine").map(({ rule, at, why }) => {
      return { rule, at: iso(at), why };
    }),
    suspects: config.pools.flatMap((pool) => suspectsOf(pool, fleet.pools.get(pool.name), now)),
    budgets: roomsOf(from),
    uncounted: viewUncounted(from),
    bills: openSpendBudget(fleet, config, now)
      .bills()
      .map((bill) => ({
        scope: bill.scope,
        per_hour: cents(bill.perHour),
        per_hour_max: bill.ceiling.perHourMax,
        month: cents(bill.month),
        month_max: bill.ceiling.perMonthMax,
        instances: bill.instances,
        instances_max: bill.ceiling.instancesMax,
        unknown_prices: bill.unknown,
      })),
    still_billed: viewStillBilled(fleet.nodes.values()),
    lemons: {
      count: lemons.length,
      refused: lemons.reduce((sum, lemon) => sum + lemon.refused, 0),
      newest: lemons.slice(0, SHOWN_MAX).map((lemon) => ({
        uuid: lemon.uuid,
        because: lemon.because,
        last_at: iso(lemon.lastAt),
        nodes: lemon.nodes,
        provider: lemon.provider,
        place: lemon.place,
        refused: lemon.refused,
      })),
    },
    failure_rate: rateOf(rate ?? null, config.safety.breaker, wanted, now),
    waits: countWaits(plan),
    providers: viewProviders(fleet, sight),
  };
}

/** Configured ones, and those that the configuration lacks while machines of theirs are held. */
function viewProviders(fleet: Fleet, sight: Sight | null): SafetyView["providers"] {
  if (sight === null) return [];
  const lost = Map.groupBy(strandedIn(fleet, sight.providers), ({ provider }) => provider);
  const shared = sharedIn(sight.providers);
  const names = new Set([...sight.providers.keys(), ...lost.keys()]);
  return [...names].map((name) => {
    const one = sight.providers.get(name);
    const cls = one?.class ?? "tag-only";
    const held =
      lost
        .get(name)
        ?.map(({ why, nodes }) => sayStranded(why, nodes.length))
        .join("; ") ?? null;
    return {
      name,
      class: cls,
      guarantee: GUARANTEE[cls],
      unavailable: one?.unavailable ?? (one === undefined ? held : null),
      trouble: one?.trouble ?? held,
      shared: shared.get(name) ?? null,
    };
  });
}

/** The fleet's freeze, while in force. */
export function freezeOf(facts: ReadonlyMap<string, Fact>, now: number): FreezeView | null {
  const [freeze] = factsOf(facts, "freeze");
  if (freeze === undefined || frozenBy(facts, now) === null) return null;
  const { by, why, at, until, all = false } = freeze;
  return { by, why, at: iso(at), until: isoOrNull(until), all, effect: sayFreezeEffect(all) };
}

/** A pool's hold, while in force. */
export function holdOf(state: PoolState | undefined, now: number): HoldView | null {
  const hold = state?.hold ?? null;
  if (hold === null || hold.until <= now) return null;
  return { by: hold.by, why: hold.why, at: null, until: iso(hold.until) };
}

export function viewBreaker(breaker: FactOf<"breaker">): BreakerView {
  const { scope, state, since, why, cause } = breaker;
  const shared = cause === null ? null : { attribute: cause.attribute, value: cause.value };
  return { scope, state, since: iso(since), why, cause: shared };
}

/** The fleet, the pool, and the failure domains of its nodes. */
export function scopesAround(pool: string, nodes: Iterable<Node>): Set<string> {
  const scopes = new Set<string>([FLEET, `pool:${pool}`]);
  for (const node of nodes) {
    if (node.phase.kind !== "gone") for (const scope of scopesOf(node)) scopes.add(scope);
  }
  return scopes;
}

/** The breakers of the scopes around a pool's nodes. */
export function breakersAround(
  pool: string,
  nodes: Iterable<Node>,
  facts: ReadonlyMap<string, Fact>,
): BreakerView[] {
  const breakers = factsOf(facts, "breaker");
  if (breakers.length === 0) return [];
  const scopes = scopesAround(pool, nodes);
  return breakers.filter(({ scope }) => scopes.has(scope)).map(viewBreaker);
}

/** Offers of the pool, as configured now, where new nodes do not come up. */
export function suspectsOf(
  pool: PoolConfig,
  state: PoolState | undefined,
  now: number,
): SuspectView[] {
  if (state === undefined || Object.keys(state.guards ?? {}).length === 0) return [];
  return offersOf(pool).flatMap((offer) => {
    const place = guardKey(pool, offer.key);
    const guard = guardOf(state, place);
    if (guard === null || !isSuspect(guard)) return [];
    const { failures, notBefore } = guard;
    const next = isResting(notBefore, now) ? iso(notBefore) : null;
    return [{ pool: pool.name, place, failures, next_try: next }];
  });
}

/** Use of each budget, widest scope first. Racks, of which there are many, only if used. */
export function roomsOf({ fleet, config, now }: SafetySource): RoomView[] {
  const rooms = openBudgets(fleet, config, now).rooms();
  const rank = (scope: string): number => (scope === FLEET ? 0 : scope.startsWith("pool:") ? 1 : 2);
  return rooms
    .filter(({ scope, used }) => used > 0 || !scope.startsWith("domain:rack:"))
    .map(({ scope, rung, used, max }) => ({ scope, rung, used, max }))
    .sort((a, b) => rank(a.scope) - rank(b.scope));
}

const UNCOUNTED: Record<Uncounted, (window: string) => string> = {
  evident: () => "XID 79 or 95, which prove broken hardware",
  suspended_rule: () => "evidence of a suspended rule",
  leaving: () => "scale-down, removal, surplus, preemption, failed start",
  unmanaged: () => "unmanaged machines, while there are bought ones",
  past: (window) => `cordons older than ${window}`,
  silence: () => "silent agents and lost Nodes",
  person: () => "persons' cordons",
  others: () => "marks of others in Kubernetes or Slurm",
};

function viewUncounted({ fleet, config, now }: SafetySource): UncountedView[] {
  const window = formatDuration(config.safety.budgets.isolate.windowMs);
  const counts = [...countUncounted(fleet, config, now)];
  return counts.map(([kind, nodes]) => ({ kind, what: UNCOUNTED[kind](window), nodes }));
}

export function countWaits(plan: Plan): SafetyView["waits"] {
  const waits: SafetyView["waits"] = {};
  for (const { reason } of plan.waits) waits[reason] = (waits[reason] ?? 0) + 1;
  return waits;
}

/** Instances that are billed while their termination is pending, oldest first. */
export function stillBilled(nodes: Iterable<Node>): BilledView[] {
  const out: { since: number; view: BilledView }[] = [];
  for (const node of nodes) {
    const since = endingSince(node);
    if (since === null || node.instance === null) continue;
    const view = {
      instance_id: node.instance.id,
      node_id: node.id,
      provider: node.instance.provider,
      pool: node.pool,
      since: iso(since),
      price_per_hour: node.instance.pricePerHour,
      refused: node.phase.kind === "terminating" ? (node.phase.refusal ?? null) : null,
    };
    out.push({ since, view });
  }
  return out.sort((a, b) => a.since - b.since).map(({ view }) => view);
}

function viewStillBilled(nodes: Iterable<Node>): SafetyView["still_billed"] {
  const all = stillBilled(nodes);
  const known = all.flatMap((one) => one.price_per_hour ?? []);
  return {
    count: all.length,
    per_hour: cents(known.reduce((sum, price) => sum + price, 0)),
    unknown_prices: all.length - known.length,
    oldest: all.slice(0, SHOWN_MAX),
  };
}

/** Removes the rounding errors of a sum of prices. */
function cents(dollars: number): number {
  return Math.round(dollars * 10_000) / 10_000;
}
