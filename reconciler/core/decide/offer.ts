/**
 * Chooses the place (provider, region, zone, type, market) of a pool's next purchase
 * (docs/buying.md). Pure. A place that refused is tried again after its stored back-off, by one
 * purchase first, so that exhausted capacity never blocks a pool for ever.
 */
import { trimBoth } from "../../../schema/trim.ts";
import { createHash } from "node:crypto";
import type { PoolConfig } from "../../../schema/config.ts";
import type { PoolState } from "../../../schema/node.ts";
import type { Fact } from "../../../schema/safety.ts";
import { guardKey, guardOf, isSuspect } from "../safety/guard.ts";
import { ownPrice } from "../machine-setting.ts";
import { type PlaceAt, placeKey, type Rest, restsOf, sayScope } from "../safety/rest.ts";
import { poolNames } from "../slurm/slot-name.ts";
import type { CreateRequest } from "../provider.ts";
import type { Veto } from "./admit.ts";
import type { ProviderSight } from "../fleet.ts";
import { rankOffers } from "./rank.ts";
import { isResting } from "../turn/backoff.ts";
import type { Bar } from "../say/limit.ts";

export type Offer = PlaceAt & {
  key: string;
  /** Of its provider's entry, shared by the places of the entry. */
  weight: number;
  /** Dollars an hour; `null` = no limit. */
  maxPrice: number | null;
  /** What the pool says it pays there; `null` = as provider and cloud tell. */
  ownPrice: number | null;
};

type OfferAnswer = { kind: "offer"; offer: Offer } | ({ kind: "wait" } & Veto);

/** Every place the pool may buy, by priority; ties by list order, then the most wanted type. */
export function offersOf(pool: PoolConfig): Offer[] {
  return pool.providers
    .toSorted((a, b) => a.priority - b.priority)
    .flatMap((ref) => {
      const regions = ref.regions.length > 0 ? ref.regions : [pool.region];
      const zones = ref.zones.length > 0 ? ref.zones : pool.zones.length > 0 ? pool.zones : [null];
      const types = [ref.instanceType, ...ref.instanceTypes];
      const pairs = regions.flatMap((region) =>
        zones.filter((zone) => isIn(zone, region, regions)).map((zone) => ({ region, zone })),
      );
      const weight = ref.weight / (pairs.length * types.length);
      const { market, reservation, maxPrice, settings } = ref;
      return types.flatMap((instanceType) =>
        pairs.map((pair) => {
          const place = { provider: ref.name, ...pair, instanceType, market, reservation };
          const own = settings === undefined ? {} : { settings };
          const price = ownPrice(settings, instanceType);
          return { key: placeKey(place), ...place, ...own, weight, maxPrice, ownPrice: price };
        }),
      );
    });
}

/** Clouds name a zone after its region; a zone of one region is not tried in another. */
function isIn(
  zone: string | null,
  region: string | null,
  regions: readonly (string | null)[],
): boolean {
  const homes = regions.filter((one) => one !== null && zone?.startsWith(one) === true);
  const home = homes.toSorted((a, b) => (b?.length ?? 0) - (a?.length ?? 0))[0];
  return home === undefined || home === region;
}

/** What the choice of a place depends on. */
export type Buyer = {
  providers: ReadonlyMap<string, ProviderSight>;
  now: number;
  facts: ReadonlyMap<string, Fact>;
  /** Guard keys that have a starting node. */
  trying: ReadonlySet<string>;
  /** Scopes (`safety/rest.ts`) with a purchase that is not answered yet. */
  asking: ReadonlySet<string>;
  /** Nodes of the pool and its open purchases, by place. */
  held: ReadonlyMap<string, number>;
  priceOf(offer: Offer): number | null;
};

/** Why nothing is bought at a place now. `isBrief`: worth the wait, before any later place. */
type Barred = { why: Bar; until: number | null; isGuard?: true; isBrief?: true };

/** A throttled provider is waited for: a later place costs more than these seconds. */
const THROTTLE_MS = 30_000;

export function nextOffer(pool: PoolConfig, state: PoolState, buyer: Buyer): OfferAnswer {
  const unread = unreadOf(pool, buyer);
  if (unread !== null) {
    const why = { code: "offers_unread", provider: unread } as const;
    return { kind: "wait", reason: "provider", until: null, why };
  }
  const bars: Barred[] = [];
  for (const offer of rankOffers(pool, offersOf(pool), buyer)) {
    const bar =
      providerBar(offer, buyer) ??
      pricedOut(offer, buyer) ??
      restBar(offer, buyer) ??
      guardBar(pool, state, offer, buyer);
    if (bar === null) return { kind: "offer", offer };
    bars.push(bar);
    if (bar.isBrief === true) break;
  }
  const untils = bars.flatMap(({ until }) => until ?? []);
  const until = untils.length === 0 ? null : Math.min(...untils);
  const isGuarded = bars.some(({ isGuard }) => isGuard === true);
  return {
    kind: "wait",
    reason: isGuarded ? "bootstrap_guard" : until === null ? "provider" : "backoff",
    until,
    why:
      bars.length === 0
        ? { code: "no_place" }
        : { code: "barred", bars: bars.map((bar) => bar.why) },
  };
}

/** A provider that must be read before the pool can compare places or prices. */
function unreadOf(pool: PoolConfig, { providers }: Buyer): string | null {
  const compares = pool.strategy === "cost" || pool.strategy === "availability";
  const unread = pool.providers.find(({ name, maxPrice }) => {
    const sight = providers.get(name);
    return (compares || maxPrice !== null) && sight?.listed === true && sight.offers === null;
  });
  return unread?.name ?? null;
}

function providerBar({ provider }: Offer, { providers }: Buyer): Barred | null {
  const sight = providers.get(provider);
  if (sight === undefined) return { why: { code: "no_provider", provider }, until: null };
  if (sight.unavailable !== null) {
    return { why: { code: "unavailable", provider, said: sight.unavailable }, until: null };
  }
  return sight.listed ? null : { why: { code: "unlisted", provider }, until: null };
}

function pricedOut(offer: Offer, buyer: Buyer): Barred | null {
  const why = priceBar(offer, buyer.priceOf(offer));
  return why === null ? null : { why, until: null };
}

/** Why the place is too expensive; an unknown price may be any. */
export function priceBar({ key, maxPrice }: Offer, price: number | null) {
  if (maxPrice === null || (price !== null && price <= maxPrice)) return null;
  return { code: "too_dear", place: sayScope(key), price, max: maxPrice } as const;
}

/** The place rests, or one purchase must show first that the rest is over. */
function restBar(offer: Offer, buyer: Buyer): Barred | null {
  const { key } = offer;
  const place = sayScope(key);
  const sight = buyer.providers.get(offer.provider)?.offers?.get(key);
  for (const rest of restsOf(buyer.facts, offer)) {
    if (rest.isOpen) continue;
    const { notBefore, scope } = rest;
    const after = { place, class: rest.class, said: rest.message };
    if (holds(rest, sight?.availableSince ?? null, buyer.now)) {
      const bar: Barred = { why: { code: "rests", ...after }, until: notBefore };
      const isBrief = rest.class === "rate_limit" && notBefore - buyer.now <= THROTTLE_MS;
      return isBrief ? { ...bar, isBrief } : bar;
    }
    if (rest.class === "rate_limit" || !buyer.asking.has(scope)) continue;
    return { why: { code: "tried_first", ...after }, until: null };
  }
  if (sight?.available !== false || !buyer.asking.has(key)) return null;
  return { why: { code: "no_capacity", place }, until: null };
}

/** Whether a rest still keeps purchases away. `availableSince` is its place's. */
export function holds(rest: Rest, availableSince: number | null, now: number): boolean {
  return isResting(rest.notBefore, now) && !isCapacityBack(rest, availableSince);
}

/** The cloud shows capacity that it did not show at the refusal: worth one early purchase. */
function isCapacityBack(rest: Rest, availableSince: number | null): boolean {
  return rest.class === "capacity" && availableSince !== null && availableSince > rest.at;
}

function guardBar(pool: PoolConfig, state: PoolState, offer: Offer, buyer: Buyer): Barred | null {
  const key = guardKey(pool, offer.key);
  const guard = guardOf(state, key);
  if (guard === null || !isSuspect(guard)) return null;
  const { failures, notBefore } = guard;
  const resting = isResting(notBefore, buyer.now);
  if (!resting && !buyer.trying.has(key)) return null;
  const why = { code: "guarded", place: offer.key, failures, isResting: resting } as const;
  return { why, until: resting ? notBefore : null, isGuard: true };
}

/**
 * The frozen request. Token and name are derived (docs/reference/providers.md#tokens), so a replay
 * makes the same ones. The place is part of the token because EC2 scopes tokens by zone
 * (docs/reference/providers.md#classes).
 */
export function createRequest(from: {
  fleetId: string;
  pool: PoolConfig;
  nodeId: string;
  slot: number;
  gen: number;
  attempt: number;
  offer: Offer;
}): CreateRequest {
  const { fleetId, pool, offer } = from;
  const words = [fleetId, offer.provider, pool.name, from.slot, from.gen, from.attempt, offer.key];
  const digest = createHash("sha256").update(words.join("\n")).digest("hex");
  const slurmName = poolNames(pool)[from.slot];
  return {
    token: `nv-${digest.slice(0, 48)}`,
    name: instanceName(from.nodeId, from.attempt),
    nodeId: from.nodeId,
    region: offer.region,
    zone: offer.zone,
    instanceType: offer.instanceType,
    market: offer.market,
    reservation: offer.reservation,
    tags: {
      ...pool.labels,
      "navarch-fleet": fleetId,
      "navarch-pool": pool.name,
      "navarch-node": from.nodeId,
      "navarch-slot": String(from.slot),
      "navarch-gen": String(from.gen),
      ...(slurmName === undefined ? {} : { "navarch-slurm-node": slurmName }),
    },
    sshKeys: pool.sshKeys,
    ...(offer.settings === undefined ? {} : { settings: offer.settings }),
  };
}

/** A DNS label of at most 63 characters, unique for each attempt. */
function instanceName(nodeId: string, attempt: number): string {
  const suffix = attempt === 1 ? "" : `-a${attempt}`;
  return `${nodeId.slice(0, 63 - suffix.length)}${suffix}`;
}

/**
 * A node's id, before it has an instance: fleet, pool, slot and generation, as a DNS label. A pool
 * name that is too long or no DNS label is shortened and gets a digest, so that ids stay unique.
 */
export function nodeIdOf(fleetId: string, pool: string, slot: number, gen: number): string {
  const slug = trimBoth(pool.toLowerCase().replace(/[^a-z0-9-]+/g, "-"), "-");
  const exact = slug === pool && slug.length <= 32;
  const digest = createHash("sha256").update(pool).digest("hex").slice(0, 6);
  const name = exact ? slug : `${slug.slice(0, 24)}-${digest}`;
  return `${fleetId}-${name}-${slot}-${gen}`;
}
