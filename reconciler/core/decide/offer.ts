/**
 * Chooses the offer (provider, region, zone, instance type) for the next purchase of a pool. Pure.
 * A refused offer is retried after its own stored back-off, so that exhausted capacity never blocks
 * a pool permanently.
 */
import { createHash } from "node:crypto";
import type { PoolConfig } from "../../../schema/config.ts";
import type { PoolState } from "../../../schema/node.ts";
import { guardKey, guardOf, isSuspect } from "../safety/guard.ts";
import type { CreateRequest } from "../provider.ts";
import type { Veto } from "./admit.ts";
import type { ProviderSight } from "../fleet.ts";
import { isResting } from "./rest.ts";

export type Offer = {
  key: string;
  provider: string;
  region: string | null;
  zone: string | null;
  instanceType: string;
};

type OfferAnswer = { kind: "offer"; offer: Offer } | ({ kind: "wait" } & Veto);

/** Every place the pool may buy, most preferred first (strategy `priority`; ties by list order). */
export function offersOf(pool: PoolConfig): Offer[] {
  return pool.providers.toSorted((a, b) => a.priority - b.priority).flatMap((ref) => {
    const regions = ref.regions.length > 0 ? ref.regions : [pool.region];
    const zones = ref.zones.length > 0 ? ref.zones : pool.zones.length > 0 ? pool.zones : [null];
    return regions.flatMap((region) =>
      zones.map((zone) => ({
        key: `${ref.name}/${region ?? ""}/${zone ?? ""}/${ref.instanceType}`,
        provider: ref.name,
        region,
        zone,
        instanceType: ref.instanceType,
      })),
    );
  });
}

/** `trying`: guard keys that have a starting node. */
export function nextOffer(
  pool: PoolConfig,
  state: PoolState,
  providers: ReadonlyMap<string, ProviderSight>,
  now: number,
  trying: ReadonlySet<string>,
): OfferAnswer {
  let until: number | null = null;
  let guarded = false;
  const why: string[] = [];
  for (const offer of offersOf(pool)) {
    const sight = providers.get(offer.provider);
    if (sight === undefined || sight.unavailable !== null) {
      why.push(`${offer.provider}: ${sight?.unavailable ?? "no such provider"}`);
      continue;
    }
    if (!sight.listed) {
      why.push(`${offer.provider}: not listed yet, so what exists there is not known`);
      continue;
    }
    const rest = state.offers[offer.key];
    if (rest !== undefined && isResting(rest.notBefore, now)) {
      until = Math.min(until ?? Infinity, rest.notBefore);
      why.push(`${offer.key} rests after ${rest.class}: ${rest.message}`);
      continue;
    }
    const key = guardKey(pool, offer.key);
    const guard = guardOf(state, key);
    if (guard !== null && isSuspect(guard)) {
      const resting = isResting(guard.notBefore, now);
      if (resting) until = Math.min(until ?? Infinity, guard.notBefore);
      if (resting || trying.has(key)) {
        guarded = true;
        const next = resting ? "the next is tried later" : "one is tried first";
        why.push(`${offer.key}: ${guard.failures} nodes in a row did not come up; ${next}`);
        continue;
      }
    }
    return { kind: "offer", offer };
  }
  return {
    kind: "wait",
    reason: guarded ? "bootstrap_guard" : until === null ? "provider" : "backoff",
    until,
    message: why.length === 0 ? "the pool names no place to buy" : why.join("; "),
  };
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
  return {
    token: `nv-${digest.slice(0, 48)}`,
    name: instanceName(from.nodeId, from.attempt),
    nodeId: from.nodeId,
    region: offer.region,
    zone: offer.zone,
    instanceType: offer.instanceType,
    market: "on-demand",
    reservation: null,
    tags: {
      ...pool.labels,
      "navarch-fleet": fleetId,
      "navarch-pool": pool.name,
      "navarch-node": from.nodeId,
      "navarch-slot": String(from.slot),
      "navarch-gen": String(from.gen),
    },
    sshKeys: pool.sshKeys,
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
  const slug = pool
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .replace(/^-+|-+$/g, "");
  const exact = slug === pool && slug.length <= 32;
  const digest = createHash("sha256").update(pool).digest("hex").slice(0, 6);
  const name = exact ? slug : `${slug.slice(0, 24)}-${digest}`;
  return `${fleetId}-${name}-${slot}-${gen}`;
}
