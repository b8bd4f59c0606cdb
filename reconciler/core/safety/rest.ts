/**
 * Back-off after refused purchases (docs/buying.md#back-off). A refusal rests what it proves
 * exhausted: a place, a quota's scope, or the whole provider. All pools share the record, and after
 * the rest one purchase is tried before any other. Pure.
 */
import type { Millis } from "../../../schema/millis.ts";
import type { Node } from "../../../schema/node.ts";
import { type Fact, factKey, type FactOf, factsOf } from "../../../schema/safety.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import { isResting } from "../turn/backoff.ts";
import type { Fleet } from "../fleet.ts";
import { backoffMs, patience } from "../turn/backoff.ts";
import { digestOf, machinePart } from "../machine-setting.ts";
import type { Place, RefusalClass } from "../provider.ts";
import type { Step } from "./breaker.ts";

export type Rest = FactOf<"rest">;

/** A place at a provider. */
export type PlaceAt = Place & { provider: string };

/** `lemon`: the place returned quarantined hardware. */
export type RestClass = RefusalClass | "lemon";

export const REST_LIMITS: Record<RestClass, { firstMs: number; maxMs: number }> = {
  capacity: { firstMs: 30_000, maxMs: 15 * 60_000 },
  quota: { firstMs: 15 * 60_000, maxMs: 6 * 3_600_000 },
  rate_limit: { firstMs: 1_000, maxMs: 60_000 },
  auth: { firstMs: 60_000, maxMs: 60_000 },
  billing: { firstMs: 15 * 60_000, maxMs: 15 * 60_000 },
  bad_request: { firstMs: 15 * 60_000, maxMs: 3_600_000 },
  stale_fence: { firstMs: 1_000, maxMs: 1_000 },
  lemon: { firstMs: 30_000, maxMs: 15 * 60_000 },
};

/** After this time without a refusal a record says nothing about the place any more. */
const FORGOTTEN_MS = 24 * 3_600_000;
const MESSAGE_MAX = 500;

/** `<provider>/<region>/<zone>/<type>`, and the market unless it is on-demand. */
export function placeKey({ provider, region, zone, instanceType, ...terms }: PlaceAt): string {
  const { market, reservation } = terms;
  const base = `${provider}/${region ?? ""}/${zone ?? ""}/${instanceType}`;
  if (market === "on-demand") return base;
  return `${base}/${market}${reservation === null ? "" : `:${reservation}`}`;
}

/** The place of a guard key, `<place>#<set-up>`. */
export function placeOfGuard(guard: string): string {
  const end = guard.lastIndexOf("#");
  return end < 0 ? guard : guard.slice(0, end);
}

/** The place of a node: where it was bought, or where an adopted instance runs. */
export function placeOfNode({ offer, instance }: Pick<Node, "offer" | "instance">): string | null {
  if (offer !== null) return placeOfGuard(offer);
  return instance === null ? null : placeKey({ ...instance, ...ON_DEMAND });
}

/** The place or scope of a key for people: without its kind and without empty parts. */
export function sayScope(scope: string): string {
  const parts = placeOfGuard(scope)
    .replace(/^(?:quota|provider):/, "")
    .split("/");
  return parts.filter((part) => part !== "").join("/");
}

/** The market that a place's key names. */
export function termsOf(key: string | null): Pick<Place, "market" | "reservation"> {
  if (key?.endsWith("/spot") === true) return { market: "spot", reservation: null };
  const [, reservation = null] = /\/reserved:(.*)/s.exec(key ?? "") ?? [];
  return reservation === null ? ON_DEMAND : { market: "reserved", reservation };
}

const ON_DEMAND = { market: "on-demand", reservation: null } as const;

/** Clouds count quotas by region, family and market, and by no zone. */
function quotaKey({ provider, region, instanceType, market }: PlaceAt): string {
  return `quota:${provider}/${region ?? ""}/${instanceType}/${market}`;
}

function providerKey({ provider }: PlaceAt): string {
  return `provider:${provider}`;
}

/** A place with what a pool sets over the provider's settings: other pools may be right there. */
function madeKey(place: PlaceAt): string {
  const machine = machinePart(place.settings);
  return machine === undefined ? placeKey(place) : `${placeKey(place)}#${digestOf(machine)}`;
}

/** Every scope whose rest concerns a place. */
export function scopesOf(place: PlaceAt): string[] {
  const made = madeKey(place);
  const own = made === placeKey(place) ? [] : [made];
  return [placeKey(place), ...own, quotaKey(place), providerKey(place)];
}

/** What a refusal proves exhausted. */
export function scopeOf(cls: RestClass, place: PlaceAt): string {
  switch (cls) {
    case "bad_request":
      return madeKey(place);
    case "capacity":
    case "stale_fence":
    case "lemon":
      return placeKey(place);
    case "quota":
      return quotaKey(place);
    case "auth":
    case "billing":
    case "rate_limit":
      return providerKey(place);
    default:
      return unreachable(cls);
  }
}

type Refusal = {
  scope: string;
  class: RestClass;
  message: string;
  /** The cloud's own wish. */
  retryAfterMs: Millis | null;
  /** When the purchase was asked for. */
  askedAt: number;
  /** The purchase had been accepted: its instance never ran, or had bad hardware. */
  isLate: boolean;
};

/**
 * The record after a refusal. Refusals of one burst count once. After an accepted purchase the
 * count begins again, unless the cloud gave up that purchase: it would be asked every 30 seconds
 * for ever.
 */
export function restAfter(facts: Lookup, refusal: Refusal, now: number): Rest {
  const before = restIn(facts, refusal.scope);
  const isBurst = before !== null && refusal.askedAt <= before.at && before.at <= now;
  const isFirst = before === null || (before.isOpen && !refusal.isLate && !isBurst);
  const failures = isFirst ? 1 : before.failures + (isBurst ? 0 : 1);
  const { firstMs, maxMs } = REST_LIMITS[refusal.class];
  const restMs = patience(refusal.retryAfterMs) ?? backoffMs(failures, firstMs, maxMs);
  return {
    kind: "rest",
    scope: refusal.scope,
    failures,
    notBefore: now + restMs,
    class: refusal.class,
    message: refusal.message.slice(0, MESSAGE_MAX),
    at: now,
    isOpen: false,
  };
}

/** A stored fact by its key. */
export type Lookup = (key: string) => Fact | null;

function restIn(facts: Lookup, scope: string): Rest | null {
  const fact = facts(`rest:${scope}`);
  return fact?.kind === "rest" ? fact : null;
}

/** The records that concern a place. */
export function restsOf(facts: ReadonlyMap<string, Fact>, place: PlaceAt): Rest[] {
  const known = (key: string): Fact | null => facts.get(key) ?? null;
  return scopesOf(place).flatMap((scope) => restIn(known, scope) ?? []);
}

export type RestChange = { put: Rest[]; drop: string[] };

/**
 * After an accepted purchase: others may follow, unless the place refused one since it was asked
 * for. The place keeps its count until a node of it is verified, for the case that the cloud gives
 * the purchase up (`restAfter`).
 */
export function restsAfterSale(facts: Lookup, place: PlaceAt, askedAt: number): RestChange {
  const change: RestChange = { put: [], drop: [] };
  for (const scope of scopesOf(place)) {
    const rest = restIn(facts, scope);
    if (rest === null || rest.class === "lemon" || askedAt <= rest.at) continue;
    if (scope !== placeKey(place)) change.drop.push(factKey(rest));
    else if (!rest.isOpen) change.put.push({ ...rest, isOpen: true, notBefore: 0 });
  }
  return change;
}

/** After a node of the place was verified: nothing is left of a record that no refusal renewed. */
export function restsAfterProof(facts: Lookup, guard: string): string[] {
  const rest = restIn(facts, placeOfGuard(guard));
  return rest !== null && (rest.isOpen || rest.class === "lemon") ? [factKey(rest)] : [];
}

const PROVIDER = /^(?:quota:|provider:)?([^/]*)/;

/** Providers with a place that rests, for which news of capacity matter. */
export function restingProviders(facts: Fleet["facts"], now: number): Set<string> {
  const resting = factsOf(facts, "rest").filter(({ notBefore }) => isResting(notBefore, now));
  return new Set(resting.flatMap(({ scope }) => PROVIDER.exec(scope)?.[1] ?? []));
}

/** Drops records that no longer matter, and takes over those that older releases kept by pool. */
export function stepRests({ facts, pools }: Fleet, now: number): Step {
  const step: Step = { put: [], drop: [], pools: [], events: [] };
  for (const rest of factsOf(facts, "rest")) {
    const keptMs = rest.class === "rate_limit" ? 0 : FORGOTTEN_MS;
    if (now >= Math.max(rest.notBefore, rest.at + keptMs)) step.drop.push(factKey(rest));
  }
  for (const pool of pools.values()) {
    const old = Object.entries(pool.offers);
    if (old.length === 0) continue;
    step.pools.push({ ...pool, offers: {} });
    for (const [scope, rest] of old) {
      const fact: Rest = { kind: "rest", scope, ...rest, at: now, isOpen: false };
      if (isResting(rest.notBefore, now) && !facts.has(factKey(fact))) step.put.push(fact);
    }
  }
  return step;
}
