/**
 * Sums of cost over whole UTC days up to now: roll-ups and open stretches together, so that it does
 * not matter what has been rolled up (docs/money.md). Pure.
 */
import type { PoolName } from "../../../schema/id.ts";
import type { Operation } from "../../../schema/operation.ts";
import { type FactOf, factsOf } from "../../../schema/safety.ts";
import type { Fleet } from "../fleet.ts";
import { clip, DAY_MS, dayOf, daysOf, monthOf, type Span, spanOfMonth } from "./calendar.ts";
import { dollarsOf, openStretch, type Stretch } from "./charge.ts";

/** Dollars of known price; instance time of known and of unknown price, in milliseconds. */
export type Sum = { dollars: number; knownMs: number; unknownMs: number };
/** What one pool has cost at one provider. `pool` is empty for instances of no pool. */
export type Account = Sum & { pool: string; provider: string };

export function noCost(): Sum {
  return { dollars: 0, knownMs: 0, unknownMs: 0 };
}

export function addCost(to: Sum, more: Sum): void {
  to.dollars += more.dollars;
  to.knownMs += more.knownMs;
  to.unknownMs += more.unknownMs;
}

export function costOfStretch(stretch: Stretch): Sum {
  const ms = stretch.to - stretch.from;
  const isKnown = stretch.pricePerHour !== null;
  return {
    dollars: dollarsOf(stretch),
    knownMs: isKnown ? ms : 0,
    unknownMs: isKnown ? 0 : ms,
  };
}

/** Month to date at `now`. */
export function spanToDate(now: number): Span {
  return { from: spanOfMonth(monthOf(now)).from, to: dayOf(now).to };
}

/** `within` begins and ends at midnight UTC; its end may be in the future. */
export function accountsIn(fleet: Fleet, within: Span, now: number): Account[] {
  const accounts = new Map<string, Account>();
  const at = (pool: string, provider: string): Account => {
    const key = JSON.stringify([pool, provider]);
    const known = accounts.get(key) ?? { pool, provider, ...noCost() };
    accounts.set(key, known);
    return known;
  };
  for (const fact of factsOf(fleet.facts, "cost")) {
    for (const { day, cost } of daysInFact(fact, within)) {
      if (day < within.to) addCost(at(fact.pool, fact.provider), cost);
    }
  }
  for (const { pool, provider, stretch } of openStretches(fleet, within, now)) {
    addCost(at(pool ?? "", provider), costOfStretch(stretch));
  }
  return [...accounts.values()];
}

/**
 * What open purchases have cost if the cloud accepted them: their outcome may be unknown for hours,
 * and they may be billed all the time.
 */
export function possibleCost({ operations }: Fleet, within: Span, now: number): Account[] {
  const out: Account[] = [];
  for (const operation of operations.values()) {
    const { payload, pool } = operation;
    if (payload.kind !== "create") continue;
    const from = askedSince(operation);
    const span = clip({ from, to: Math.max(from, now) }, within);
    const cost = costOfStretch({ ...span, pricePerHour: payload.pricePerHour ?? null });
    out.push({ pool: pool ?? "", provider: payload.provider, ...cost });
  }
  return out;
}

export function askedSince({ firstAskedAt, askedAt }: Operation): number {
  return firstAskedAt ?? askedAt;
}

/** The fleet's cost of each day in the span, by the day's first instant, oldest first. */
export function dailyCosts(fleet: Fleet, within: Span, now: number): Map<number, Sum> {
  const days = new Map<number, Sum>();
  const end = Math.min(within.to, dayOf(now).to);
  for (let at = within.from; at < end; at += DAY_MS) days.set(at, noCost());
  const add = (day: number, cost: Sum): void => {
    const known = days.get(day);
    if (known !== undefined) addCost(known, cost);
  };
  for (const fact of factsOf(fleet.facts, "cost")) {
    for (const { day, cost } of daysInFact(fact, within)) add(day, cost);
  }
  for (const { stretch } of openStretches(fleet, within, now)) {
    const { pricePerHour } = stretch;
    for (const part of daysOf(stretch)) {
      add(dayOf(part.from).from, costOfStretch({ ...part, pricePerHour }));
    }
  }
  return days;
}

function* daysInFact(fact: FactOf<"cost">, within: Span): Generator<{ day: number; cost: Sum }> {
  const month = spanOfMonth(fact.month);
  if (month.to <= within.from || month.from >= within.to) return;
  for (const [index, cost] of fact.days.entries()) {
    const day = month.from + index * DAY_MS;
    if (day >= within.from && day < within.to) yield { day, cost };
  }
}

type Open = { pool: PoolName | null; provider: PoolName; stretch: Stretch };

function* openStretches({ nodes }: Fleet, within: Span, now: number): Generator<Open> {
  for (const node of nodes.values()) {
    const open = openStretch(node, now);
    if (open === null || node.instance === null) continue;
    const part = clip(open, within);
    if (part.to === part.from) continue;
    const { pricePerHour } = open;
    yield { pool: node.pool, provider: node.instance.provider, stretch: { ...part, pricePerHour } };
  }
}
