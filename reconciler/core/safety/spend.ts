/**
 * The spend breaker (docs/reference/safety.md#spend): hard ceilings in instances, dollars an hour
 * and dollars a month, for the fleet, each pool and each provider. Pure. Whatever may be billed
 * counts: live instances, open purchases, and terminations that are not confirmed.
 */
import type { Config, Spend } from "../../../schema/config.ts";
import { type Account, accountsIn, possibleCost, spanToDate } from "../cost/sum.ts";
import type { Fleet } from "../fleet.ts";
import { FLEET } from "./scope.ts";
import type { Spending } from "../say/limit.ts";

/** What is billed in one scope; `unknown` counts instances without a known price. */
export type Bill = {
  scope: string;
  perHour: number;
  instances: number;
  unknown: number;
  /** Dollars since the first of the month (UTC), open purchases included. */
  month: number;
  ceiling: Spend;
};

/** `replaces`: it takes the place of a machine, so the fleet costs no more an hour than before. */
export type Ask = { pool: string; provider: string; price: number | null; replaces: boolean };

/** What a termination frees in the pool and the fleet, and at its own provider only. */
export type Freed = { instances: number; perHour: number; provider: string | null };

const NOTHING: Freed = { instances: 0, perHour: 0, provider: null };

export type SpendBudget = {
  /** Why a purchase exceeds a ceiling after `freed` is terminated, or `null`. */
  refusal(ask: Ask, freed: Freed): Spending | null;
  /** Spends, or returns the refusal. An unknown price is refused under a ceiling in dollars. */
  take(ask: Ask): Spending | null;
  bills(): Bill[];
};

/** Counts lazily. `now` is wall milliseconds. */
export function openSpendBudget(fleet: Fleet, config: Config, now: number): SpendBudget {
  let counted: SpendBudget | null = null;
  const open = (): SpendBudget => (counted ??= countSpendBudget(fleet, config, now));
  return {
    refusal: (ask, freed) => open().refusal(ask, freed),
    take: (ask) => open().take(ask),
    bills: () => open().bills(),
  };
}

function countSpendBudget(fleet: Fleet, config: Config, now: number): SpendBudget {
  const bills = new Map<string, Bill>();
  const open = (scope: string, ceiling: Spend): void =>
    void bills.set(scope, { scope, perHour: 0, instances: 0, unknown: 0, month: 0, ceiling });
  open(FLEET, config.safety.spend);
  for (const pool of config.pools) open(`pool:${pool.name}`, pool.spend);
  for (const { name, spend } of config.providers) open(`provider:${name}`, spend);

  const scopesFor = (pool: string | null, provider: string): Bill[] =>
    [FLEET, `pool:${pool}`, `provider:${provider}`].flatMap((scope) => bills.get(scope) ?? []);
  const count = (pool: string | null, provider: string, price: number | null): void => {
    for (const bill of scopesFor(pool, provider)) {
      bill.instances++;
      if (price === null) bill.unknown++;
      else bill.perHour += price;
    }
  };

  for (const { pool, instance, phase } of fleet.nodes.values()) {
    if (instance === null || phase.kind === "gone" || instance.state === "terminated") continue;
    // The operator's own machine has no price to know.
    count(pool, instance.provider, instance.host === undefined ? instance.pricePerHour : 0);
  }
  for (const { payload, pool } of fleet.operations.values()) {
    if (payload.kind === "create") count(pool, payload.provider, payload.pricePerHour ?? null);
  }
  for (const { pool, provider, dollars: spent } of monthToDate(fleet, now)) {
    for (const bill of scopesFor(pool, provider)) bill.month += spent;
  }

  const refusal: SpendBudget["refusal"] = ({ pool, provider, price, replaces }, goes) => {
    for (const bill of scopesFor(pool, provider)) {
      const { scope } = bill;
      const { perHourMax, perMonthMax, instancesMax } = bill.ceiling;
      const elsewhere = scope === `provider:${provider}` && provider !== goes.provider;
      const freed = elsewhere ? NOTHING : goes;
      if (instancesMax !== null && bill.instances - freed.instances + 1 > instancesMax) {
        return { code: "instances", scope, instances: bill.instances, max: instancesMax };
      }
      // A machine that takes another's place does not change what the month will cost.
      const isGrowth = perMonthMax !== null && !replaces;
      if (perHourMax === null && !isGrowth) continue;
      if (bill.unknown > 0) return { code: "unpriced", scope, count: bill.unknown };
      if (price === null) return { code: "price_unknown", scope };
      const left = bill.perHour - freed.perHour;
      if (perHourMax !== null && left + price > perHourMax) {
        return { code: "per_hour", scope, perHour: left, price, max: perHourMax };
      }
      // One hour ahead, so that the machine can do an hour of work below the ceiling.
      if (isGrowth && bill.month + left + price > perMonthMax) {
        const { month } = bill;
        return { code: "per_month", scope, month, nextHour: left + price, max: perMonthMax };
      }
    }
    return null;
  };

  return {
    refusal,
    take(ask) {
      const why = refusal(ask, NOTHING);
      if (why === null) count(ask.pool, ask.provider, ask.price);
      return why;
    },
    bills: () => [...bills.values()],
  };
}

/** An open purchase counts as if the cloud had accepted it. */
function monthToDate(fleet: Fleet, now: number): Account[] {
  const month = spanToDate(now);
  return [...accountsIn(fleet, month, now), ...possibleCost(fleet, month, now)];
}
