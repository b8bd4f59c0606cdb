/**
 * What the next purchase of a pool depends on: prices, open purchases, and how many nodes each
 * place has. A purchase of this plan counts for the ones after it. Pure.
 */
import { type PlaceAt, placeKey, placeOfNode, scopesOf } from "../safety/rest.ts";
import type { Fleet, Sight } from "../fleet.ts";
import type { Scope } from "./decide.ts";
import type { Buyer, Offer } from "./offer.ts";

export function buyerOf(scope: Scope, providers: Sight["providers"]): Buyer {
  const { sight, fleet, asking } = scope;
  return {
    providers,
    now: sight.now,
    facts: fleet.facts,
    trying: tryingKeys(scope),
    asking,
    held: (scope.held ??= heldOf(scope)),
    priceOf: (offer) => priceOf(offer, scope),
  };
}

export const ARRIVING: readonly string[] = ["booting", "bootstrapping", "verifying"];

/** Guard keys with a node on its way up. */
export function tryingKeys(scope: Scope): Set<string> {
  if (scope.trying !== null) return scope.trying;
  const keys = new Set<string>();
  scope.trying = keys;
  for (const nodes of scope.bySlot.values()) {
    for (const { phase, offer, operation } of nodes) {
      if (offer !== null && ARRIVING.includes(phase.kind)) keys.add(offer);
      const payload = operation === null ? null : scope.fleet.operations.get(operation)?.payload;
      if (payload?.kind === "create" && payload.guard !== null) keys.add(payload.guard);
    }
  }
  return keys;
}

/** Scopes of the fleet's open purchases. */
export function askingOf({ operations }: Fleet): Set<string> {
  const asking = new Set<string>();
  for (const { payload } of operations.values()) {
    if (payload.kind !== "create") continue;
    const { provider, request } = payload;
    for (const one of scopesOf({ provider, ...request })) asking.add(one);
  }
  return asking;
}

function heldOf({ bySlot, fleet }: Scope): Map<string, number> {
  const held = new Map<string, number>();
  for (const node of [...bySlot.values()].flat()) {
    const open = node.operation === null ? undefined : fleet.operations.get(node.operation);
    const place = open?.payload.kind === "create" ? open.payload.offer : placeOfNode(node);
    if (place !== null) held.set(place, (held.get(place) ?? 0) + 1);
  }
  return held;
}

/** The plan buys at this place. */
export function noteBought(offer: Offer, scope: Scope): void {
  for (const one of scopesOf(offer)) scope.asking.add(one);
  const { held } = scope;
  held?.set(offer.key, (held.get(offer.key) ?? 0) + 1);
}

/** The place's hourly price: the pool's, else its provider's, else that of the pool's instances. */
export function priceOf(offer: Offer, scope: Scope): number | null {
  if (offer.ownPrice !== null) return offer.ownPrice;
  const known = scope.prices.get(offer.key);
  if (known !== undefined) return known;
  const price = readPrice(offer, scope);
  scope.prices.set(offer.key, price);
  return price;
}

function readPrice(offer: Offer, { sight, fleet, pool }: Scope): number | null {
  const { provider, key } = offer;
  const reported = sight.providers.get(provider)?.offers?.get(key)?.pricePerHour ?? null;
  if (reported !== null) return reported;
  for (const node of fleet.nodes.values()) {
    const price = node.instance?.pricePerHour ?? null;
    // Another pool may have set a price of its own.
    if (price !== null && node.pool === pool?.name && isAlike(node, offer)) return price;
  }
  return null;
}

/** The price of a market that moves says nothing about another zone. */
function isAlike(node: Parameters<typeof placeOfNode>[0], offer: Offer): boolean {
  if (offer.market !== "on-demand") return placeOfNode(node) === offer.key;
  const { instance } = node;
  if (instance?.provider !== offer.provider || instance.region !== offer.region) return false;
  const zone: PlaceAt = { ...offer, zone: instance.zone };
  return instance.instanceType === offer.instanceType && placeOfNode(node) === placeKey(zone);
}
