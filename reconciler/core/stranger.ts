/**
 * Machines of other fleets that have the name of one of our pools. A store whose state was lost has
 * a new fleet id, sees none of the machines that it had bought, and would buy them all again. So
 * before the first purchase of a pool its providers are asked for such machines, and the pool waits
 * for a person if there are any (docs/operations/backup-and-restore.md#lost-state). Pure.
 */
import type { Config, PoolConfig } from "../../schema/config.ts";
import type { PoolState } from "../../schema/node.ts";
import { type Fact, type FactOf, factKey, factsOf } from "../../schema/safety.ts";
import type { StrangeFleet } from "../../schema/safety.ts";
import { poolEvent } from "./event-draft.ts";
import type { Fleet, Sight } from "./fleet.ts";
import { pricedListing } from "./machine-setting.ts";
import type { Instance, StrangersAnswer } from "./provider.ts";
import type { UnitOfWork } from "./unit-of-work.ts";
import { sayStranger, type Stranger } from "./say/limit.ts";

const FLEET = "navarch-fleet";
const POOL = "navarch-pool";
/**
 * A look that fails holds the pool for this long. Longer would stop a new fleet whose credential
 * may buy but not list; shorter would let an outage of the cloud buy a fleet twice.
 */
export const LOOK_FAILS_MS = 10 * 60_000;
/** Machines and fleets of a stored row. */
const MACHINES_MAX = 100;
const FLEETS_MAX = 20;
const WHY_MAX = 500;

/** Those of an unfiltered list. One that has ended, or is about to, costs nothing any more. */
export function strangersIn<I extends Pick<Instance, "tags" | "state">>(
  instances: readonly I[],
  fleetId: string,
  pools: readonly string[],
): I[] {
  return instances.filter(({ tags, state }) => {
    const { [FLEET]: fleet = "", [POOL]: pool = "" } = tags;
    const isOther = fleet !== "" && fleet !== fleetId && pools.includes(pool);
    return isOther && state !== "terminated" && state !== "terminating";
  });
}

/** One answered look at a provider. */
export type Look = { provider: string; pools: readonly string[]; answer: StrangersAnswer };

type LookFact = FactOf<"strangers">;
type Known = Pick<Fleet, "fleetId" | "facts" | "pools">;

const lookOf = (facts: Known["facts"], pool: string, provider: string): LookFact | null => {
  const fact = facts.get(`strangers:${pool}:${provider}`);
  return fact?.kind === "strangers" ? fact : null;
};

/** Whether nothing was ever bought or adopted for the pool with this store. */
const isNew = (state: PoolState | undefined): boolean => (state?.nextGen ?? 1) === 1;

/** Pools to look for at the provider; `first` = those that were not looked for yet. */
export function looksAt(
  provider: string,
  { pools }: Pick<Config, "pools">,
  fleet: Known,
): { due: string[]; first: boolean } {
  let first = false;
  const due = pools.flatMap(({ name, providers }) => {
    if (!providers.some((ref) => ref.name === provider)) return [];
    // A pool that has machines of its own has not lost them.
    if (!isNew(fleet.pools.get(name))) return [];
    const look = lookOf(fleet.facts, name, provider);
    const holds = look !== null && othersIn(look, fleet).length > 0;
    if (look === null) first = true;
    return look === null || holds || look.outcome === "failed" ? [name] : [];
  });
  return { due, first };
}

/** Fleets of the look that are neither this one nor, unless they count, ignored. */
function othersIn(
  { fleets }: LookFact,
  { fleetId, facts }: Pick<Known, "fleetId" | "facts">,
  ignored = false,
): StrangeFleet[] {
  return fleets.filter(({ fleet }) => {
    return fleet !== fleetId && (ignored || !facts.has(`ignored_fleet:${fleet}`));
  });
}

/** Keeps what looks found, as long as the pool buys there. */
export function foldLooks(
  looks: readonly Look[],
  { pools }: Pick<Config, "pools">,
  fleet: Known,
  at: { now: number; work: UnitOfWork },
): void {
  for (const { answer, ...look } of looks) {
    const seen = answer.kind === "ok" ? { ...look, startedAt: at.now, answer } : null;
    const priced = seen === null ? answer : pricedListing(pools, seen).answer;
    foldLook({ ...look, answer: priced }, fleet, at.now, at.work);
  }
  for (const fact of factsOf(fleet.facts, "strangers")) {
    const refs = pools.find(({ name }) => name === fact.pool)?.providers ?? [];
    if (refs.some(({ name }) => name === fact.provider)) continue;
    at.work.dropFact(factKey(fact));
  }
}

/** Reports its beginning to the pool. */
function foldLook(look: Look, fleet: Known, now: number, work: UnitOfWork): void {
  const { provider, answer } = look;
  for (const pool of look.pools) {
    const before = lookOf(fleet.facts, pool, provider);
    const outcome = answer.kind === "ok" ? "seen" : answer.kind;
    const since = before?.outcome === outcome ? before.since : now;
    const why = answer.kind === "ok" ? null : answer.message.slice(0, WHY_MAX);
    const shown = answer.kind === "ok" ? fleetsIn(answer.instances, pool) : [];
    const fleets = answer.kind === "ok" ? withFormer(shown, before) : (before?.fleets ?? []);
    const kept = before?.outcome === outcome ? before.why : null;
    const next: LookFact = {
      ...{ kind: "strangers", pool, provider, outcome, since, fleets },
      // Messages of a failure differ in request ids and times.
      why: why === null ? null : (kept ?? why),
    };
    if (before !== null && JSON.stringify(before) === JSON.stringify(next)) continue;
    work.putFact(next);
    const known = new Set(before?.fleets.map((one) => one.fleet));
    const isNews =
      (outcome === "failed" && before?.outcome !== outcome) ||
      othersIn(next, fleet).some((one) => !known.has(one.fleet));
    if (!isNews) continue;
    const facts = new Map([...fleet.facts, [factKey(next), next satisfies Fact]]);
    const said = strangersOf(pool, { ...fleet, facts }) ?? failedLook(next);
    const name = next.pool as PoolConfig["name"];
    work.tell([poolEvent(name, now, "pool.condition", sayStranger(said))]);
  }
}

/** Those that were seen and are not now, stay: a person says that they are gone. */
function withFormer(shown: StrangeFleet[], before: LookFact | null): StrangeFleet[] {
  const former = (before?.fleets ?? []).filter(({ fleet }) => {
    return !shown.some((one) => one.fleet === fleet);
  });
  const left = former.map(({ fleet }): StrangeFleet => {
    return { fleet, count: 0, perHour: 0, unpriced: 0, machines: [] };
  });
  return [...shown, ...left].slice(0, FLEETS_MAX);
}

function fleetsIn(instances: readonly Instance[], pool: string): StrangeFleet[] {
  const own = instances.filter(({ tags }) => tags[POOL] === pool);
  const byFleet = Map.groupBy(own, ({ tags }) => tags[FLEET] ?? "");
  const fleets = [...byFleet].map(([fleet, all]): StrangeFleet => {
    const machines = all
      .map(({ id, instanceType: type, region }) => ({ id: String(id), type, region }))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
    return {
      fleet,
      count: all.length,
      perHour: all.reduce((sum, { pricePerHour }) => sum + (pricePerHour ?? 0), 0),
      unpriced: all.filter(({ pricePerHour }) => pricePerHour === null).length,
      machines: machines.slice(0, MACHINES_MAX),
    };
  });
  return fleets.sort((a, b) => b.count - a.count || (a.fleet < b.fleet ? -1 : 1));
}

/** A fleet that holds pools of ours, in all of them. */
export type HoldingFleet = StrangeFleet & { pools: string[]; providers: string[] };

/**
 * Of all pools or one, with those that a person ignored or without. Two providers of one account
 * show the same machines, and they count once.
 */
export function holdingFleets(
  fleet: Pick<Known, "fleetId" | "facts">,
  only: { pool?: string; fleet?: string; ignored?: boolean } = {},
): HoldingFleet[] {
  const found = new Map<string, HoldingFleet>();
  const seen = new Set<string>();
  for (const look of factsOf(fleet.facts, "strangers")) {
    if (only.pool !== undefined && look.pool !== only.pool) continue;
    for (const one of othersIn(look, fleet, only.ignored)) {
      if (only.fleet !== undefined && one.fleet !== only.fleet) continue;
      const sum = found.get(one.fleet) ?? { ...NONE, fleet: one.fleet, pools: [], providers: [] };
      if (!sum.pools.includes(look.pool)) sum.pools.push(look.pool);
      if (!sum.providers.includes(look.provider)) sum.providers.push(look.provider);
      const first = one.machines[0]?.id;
      const isDouble = first !== undefined && seen.has(`${look.pool} ${one.fleet} ${first}`);
      if (first !== undefined) seen.add(`${look.pool} ${one.fleet} ${first}`);
      found.set(one.fleet, isDouble ? sum : added(sum, one));
    }
  }
  return [...found.values()].sort((a, b) => b.count - a.count || (a.fleet < b.fleet ? -1 : 1));
}

const NONE = { count: 0, perHour: 0, unpriced: 0, machines: [] };

function added(sum: HoldingFleet, one: StrangeFleet): HoldingFleet {
  return {
    ...sum,
    count: sum.count + one.count,
    perHour: sum.perHour + one.perHour,
    unpriced: sum.unpriced + one.unpriced,
    machines: [...sum.machines, ...one.machines],
  };
}

/** Fleets that hold a pool now: one that has bought or adopted since is not held. */
export function holdsNow({ pools }: Pick<HoldingFleet, "pools">, fleet: Known): boolean {
  return pools.some((pool) => isNew(fleet.pools.get(pool as PoolConfig["name"])));
}

const failedLook = ({ provider, why }: LookFact): Stranger => {
  return { code: "look_failed", provider, said: why, minutes: LOOK_FAILS_MS / 60_000 };
};

/** The fleets whose machines hold the pool; `null` = none does. */
export function strangersOf(pool: string, fleet: Known): Stranger | null {
  const fleets = holdingFleets(fleet, { pool }).filter((one) => holdsNow(one, fleet));
  return fleets.length === 0 ? null : { code: "strangers", fleets };
}

/** The fleet that a person gave the store, if this process acts for another one. */
export function otherOwner({ fleetId, facts }: Pick<Fleet, "fleetId" | "facts">): string | null {
  return ownerIn(facts.values(), fleetId);
}

/** The same of facts as they are stored. */
export function ownerIn(facts: Iterable<Fact>, fleetId: string): string | null {
  for (const fact of facts) if (fact.kind === "fleet" && fact.id !== fleetId) return fact.id;
  return null;
}

/** Why nothing is bought for the pool: it is not known, or not said, whose machines are there. */
export function strangerVeto(
  pool: PoolConfig,
  fleet: Known,
  { now, providers }: Pick<Sight, "now" | "providers">,
): { reason: "other_fleet"; why: Stranger; until: number | null } | null {
  const reason = "other_fleet";
  const owner = otherOwner(fleet);
  if (owner !== null) return { reason, why: { code: "other_owner", fleet: owner }, until: null };
  const why = strangersOf(pool.name, fleet);
  if (why !== null) return { reason, why, until: null };
  if (!isNew(fleet.pools.get(pool.name))) return null;
  for (const { name } of pool.providers) {
    if (providers.get(name)?.unlooked === true) {
      return { reason, why: { code: "asked_first", provider: name }, until: null };
    }
    const look = lookOf(fleet.facts, pool.name, name);
    if (look?.outcome !== "failed") continue;
    const until = look.since + LOOK_FAILS_MS;
    if (now >= until) continue;
    return { reason, why: failedLook(look), until };
  }
  return null;
}

/** Providers that could not show machines of other fleets, for pools that have bought nothing. */
export function blindLooks(fleet: Known): { provider: string; pools: string[]; why: string }[] {
  const looks = factsOf(fleet.facts, "strangers").filter(({ pool, outcome }) => {
    return outcome !== "seen" && isNew(fleet.pools.get(pool as PoolConfig["name"]));
  });
  return [...Map.groupBy(looks, ({ provider }) => provider)].map(([provider, all]) => {
    return { provider, pools: all.map(({ pool }) => pool), why: all[0]?.why ?? "" };
  });
}
