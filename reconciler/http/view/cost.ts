/** What the fleet costs, for the HTTP API and the metrics (docs/money.md). Pure. */
import type {
  CostGroup,
  CostInstanceView,
  CostRow,
  CostState,
  CostView,
  PoolCostView,
} from "../../../schema/cost-view.ts";
import { COST_STATES } from "../../../schema/cost-view.ts";
import type { Config, Spend } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import { dayOf, HOUR_MS, monthOf, type Span, spanOfMonth } from "../../core/cost/calendar.ts";
import { isBilled } from "../../core/cost/charge.ts";
import {
  accountsIn,
  addCost,
  dailyCosts,
  noCost,
  possibleCost,
  type Sum,
} from "../../core/cost/sum.ts";
import type { Fleet } from "../../core/fleet.ts";
import { iso } from "./node.ts";
import { viewOthers } from "./stranger.ts";

/** Rows of a group that could be as long as the fleet. */
const SHOWN_MAX = 20;

export type CostSource = { fleet: Fleet; config: Config; now: number };

/** The state of a billed instance; the reason that costs most attention first. */
export function costStateOf({ phase, health }: Node): CostState {
  const { kind } = phase;
  if (kind === "held") return "held";
  if (kind === "draining" || kind === "terminating") {
    return phase.purpose === "surplus" ? "surplus" : kind;
  }
  if (health.silentSince !== null) return "silent";
  if (kind === "serving") return "serving";
  return kind === "suspect" || kind === "repairing" || kind === "replacing"
    ? "repairing"
    : "starting";
}

type Tally = { now: Rate; today: Sum; period: Sum };
type Rate = { instances: number; unknown: number; perHour: number };

/** `span` begins and ends at midnight UTC. */
export function viewCost({ fleet, config, now }: CostSource, span: Span): CostView {
  const today = dayOf(now);
  const total = newTally();
  const pools = new Map<string, Tally>(config.pools.map(({ name }) => [name, newTally()]));
  const providers = new Map<string, Tally>(config.providers.map(({ name }) => [name, newTally()]));
  const each = (pool: string, provider: string, take: (tally: Tally) => void): void =>
    [total, tallyAt(pools, pool), tallyAt(providers, provider)].forEach(take);
  for (const account of accountsIn(fleet, span, now)) {
    each(account.pool, account.provider, (tally) => addCost(tally.period, account));
  }
  for (const account of accountsIn(fleet, today, now)) {
    each(account.pool, account.provider, (tally) => addCost(tally.today, account));
  }
  for (const node of fleet.nodes.values()) {
    const { instance } = node;
    if (instance === null || !isBilled(node)) continue;
    each(node.pool ?? "", instance.provider, ({ now: rate }) => addRate(rate, instance));
  }
  const month = monthOf(span.from);
  const whole = spanOfMonth(month);
  const isMonth = whole.from === span.from && whole.to === span.to;
  const leftMs = isMonth && now < span.to ? span.to - now : null;
  const rows = (tallies: Map<string, Tally>, spendOf: (name: string) => Spend | undefined) =>
    [...tallies].map(([name, tally]) => rowOf(name, tally, leftMs, spendOf(name)));
  return {
    at: iso(now),
    from: iso(span.from),
    to: iso(Math.min(span.to, now)),
    month: isMonth ? month : null,
    total: rowOf("fleet", total, leftMs, config.safety.spend),
    pools: rows(pools, (name) => config.pools.find((pool) => pool.name === name)?.spend),
    providers: rows(
      providers,
      (name) => config.providers.find((provider) => provider.name === name)?.spend,
    ),
    idle: groupsOf(fleet, now),
    open_purchases: purchasesOf(fleet, now),
    other_fleets: viewOthers(fleet).filter(({ holds }) => holds),
    days: [...dailyCosts(fleet, span, now)].map(([day, sum]) => {
      const dollars = cents(sum.dollars);
      return { day: iso(day).slice(0, 10), dollars, unknown_hours: hours(sum.unknownMs) };
    }),
  };
}

/** Dollars an hour by pool, provider and state, of billed instances. */
export function ratesByState(
  nodes: Iterable<Node>,
): { pool: string; provider: string; state: CostState; rate: Rate }[] {
  const found = new Map<string, ReturnType<typeof ratesByState>[number]>();
  for (const node of nodes) {
    if (node.instance === null || !isBilled(node)) continue;
    const { provider } = node.instance;
    const pool = node.pool ?? "";
    const state = costStateOf(node);
    const key = JSON.stringify([pool, provider, state]);
    const known = found.get(key) ?? { pool, provider, state, rate: newTally().now };
    addRate(known.rate, node.instance);
    found.set(key, known);
  }
  return [...found.values()];
}

type PoolCost = Omit<PoolCostView, "month_max">;

export function viewPoolCost(from: Omit<CostSource, "config">, pool: string): PoolCost {
  return viewPoolCosts(from).get(pool) ?? { per_hour: 0, unknown_prices: 0, today: 0, month: 0 };
}

/** Of all pools that have cost anything this month, in one pass over the fleet. */
export function viewPoolCosts({ fleet, now }: Omit<CostSource, "config">): Map<string, PoolCost> {
  const tallies = new Map<string, Tally>();
  for (const node of fleet.nodes.values()) {
    if (node.pool !== null && node.instance !== null && isBilled(node)) {
      addRate(tallyAt(tallies, node.pool).now, node.instance);
    }
  }
  for (const account of accountsIn(fleet, dayOf(now), now)) {
    addCost(tallyAt(tallies, account.pool).today, account);
  }
  for (const account of accountsIn(fleet, spanOfMonth(monthOf(now)), now)) {
    addCost(tallyAt(tallies, account.pool).period, account);
  }
  const costs = [...tallies].map(([pool, { now: rate, today, period }]) => {
    const { perHour, unknown } = rate;
    const sums = { today: cents(today.dollars), month: cents(period.dollars) };
    return [pool, { per_hour: cents(perHour), unknown_prices: unknown, ...sums }] as const;
  });
  return new Map(costs);
}

function newTally(): Tally {
  return {
    now: { instances: 0, unknown: 0, perHour: 0 },
    today: noCost(),
    period: noCost(),
  };
}

function tallyAt(tallies: Map<string, Tally>, name: string): Tally {
  const known = tallies.get(name) ?? newTally();
  tallies.set(name, known);
  return known;
}

function addRate(rate: Rate, { pricePerHour }: { pricePerHour: number | null }): void {
  rate.instances++;
  if (pricePerHour === null) rate.unknown++;
  else rate.perHour += pricePerHour;
}

/** `leftMs`: what is left of the month; `null` if it is over, or the period is no month. */
function rowOf(name: string, tally: Tally, leftMs: number | null, spend?: Spend): CostRow {
  const { now, today, period } = tally;
  const ahead = leftMs === null ? null : period.dollars + (now.perHour * leftMs) / HOUR_MS;
  return {
    name,
    instances: now.instances,
    unknown_prices: now.unknown,
    per_hour: cents(now.perHour),
    today: cents(today.dollars),
    period: cents(period.dollars),
    unknown_hours: hours(period.unknownMs),
    projected: ahead === null ? null : cents(ahead),
    per_hour_max: spend?.perHourMax ?? null,
    per_month_max: spend?.perMonthMax ?? null,
  };
}

/** Since when the instance is in its state. */
function stateSince(node: Node, state: CostState): number {
  return state === "silent" ? (node.health.silentSince ?? 0) : node.phase.since;
}

function groupsOf({ nodes }: Fleet, now: number): CostGroup[] {
  const groups = new Map<CostState, CostInstanceView[]>();
  for (const node of nodes.values()) {
    const { instance } = node;
    const state = costStateOf(node);
    if (instance === null || !isBilled(node) || state === "serving") continue;
    const since = stateSince(node, state);
    const { pricePerHour } = instance;
    const ms = Math.max(0, now - since);
    const view = {
      node_id: node.id,
      instance_id: instance.id,
      pool: node.pool,
      provider: instance.provider,
      since: iso(since),
      price_per_hour: pricePerHour,
      accrued: pricePerHour === null ? null : cents((ms / HOUR_MS) * pricePerHour),
    };
    const list = groups.get(state);
    if (list === undefined) groups.set(state, [view]);
    else list.push(view);
  }
  return COST_STATES.flatMap((state) => {
    const all = groups.get(state);
    return all === undefined ? [] : [groupOf(state, all)];
  });
}

function groupOf(state: CostState, all: CostInstanceView[]): CostGroup {
  const sum = (of: (one: CostInstanceView) => number | null): number =>
    cents(all.reduce((total, one) => total + (of(one) ?? 0), 0));
  return {
    state,
    count: all.length,
    unknown_prices: all.filter((one) => one.price_per_hour === null).length,
    per_hour: sum((one) => one.price_per_hour),
    accrued: sum((one) => one.accrued),
    instances: all.sort((a, b) => (b.accrued ?? 0) - (a.accrued ?? 0)).slice(0, SHOWN_MAX),
  };
}

function purchasesOf(fleet: Fleet, now: number): CostView["open_purchases"] {
  const prices: (number | null)[] = [];
  for (const { payload } of fleet.operations.values()) {
    if (payload.kind === "create") prices.push(payload.pricePerHour ?? null);
  }
  const known = prices.filter((price) => price !== null);
  const whole = { from: 0, to: dayOf(now).to };
  const possible = possibleCost(fleet, whole, now).reduce((sum, one) => sum + one.dollars, 0);
  return {
    count: prices.length,
    unknown_prices: prices.length - known.length,
    per_hour: cents(known.reduce((sum, price) => sum + price, 0)),
    possible: cents(possible),
  };
}

/** Removes the rounding errors of a sum of prices. */
function cents(dollars: number): number {
  return Math.round(dollars * 10_000) / 10_000;
}

function hours(ms: number): number {
  return Math.round((ms / HOUR_MS) * 100) / 100;
}
