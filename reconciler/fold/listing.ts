/**
 * Folds a complete cloud listing into the fleet. Pure. The listing was begun before the fleet was read
 * (crash-safety.md §6), and absence counts only for instances that were bound before it began; an
 * instance that the cloud does not show but whose agent speaks is not absent: then the cloud is doubted.
 */
import type { EventDraft } from "../../schema/event.ts";
import type { InstanceId, NodeId, PoolName } from "../../schema/id.ts";
import type { InstanceFact, Node } from "../../schema/node.ts";
import type { Operation } from "../../schema/operation.ts";
import type { Fleet } from "../fleet.ts";
import type { Instance } from "../provider/provider.ts";
import { newNode } from "./new-node.ts";

/** An own instance that no node claims, and in how many listings it was seen. Kept in memory only. */
export type Sighting = { firstAt: number; listings: number };

export type ListingFold = {
  nodes: Node[];
  /** Open creates that were looked for and not found, once more. */
  operations: Operation[];
  /** Open creates whose instance is there, however their call ended. */
  answers: { operation: Operation; instance: Instance }[];
  events: EventDraft[];
  sightings: Map<InstanceId, Sighting>;
};

/** `startedAt` and `now` are wall milliseconds; `settleMs` is the provider's. */
export function foldListing(
  fleet: Fleet,
  provider: string,
  listing: { startedAt: number; instances: Instance[] },
  context: {
    now: number;
    settleMs: number;
    sightings: ReadonlyMap<InstanceId, Sighting>;
    silentMs(node: NodeId): number | null;
    heartbeatTimeoutMs: number;
  },
): ListingFold {
  const out: ListingFold = { nodes: [], operations: [], answers: [], events: [], sightings: new Map() };
  const byId = new Map(listing.instances.map((instance) => [instance.id, instance]));
  const claimed = new Set<InstanceId>();
  for (const node of fleet.nodes.values()) {
    if (node.instance === null || node.instance.provider !== provider) continue;
    claimed.add(node.instance.id);
    if (node.phase.kind === "gone") continue;
    const silent = context.silentMs(node.id);
    const heard = silent !== null && silent <= context.heartbeatTimeoutMs;
    const next = foldInstance(node.instance, byId.get(node.instance.id), listing.startedAt, context.now, heard, node);
    if (next !== null) out.nodes.push({ ...node, instance: next });
  }
  foldAsks(fleet, provider, listing, context, out);
  for (const instance of listing.instances) {
    if (claimed.has(instance.id) || instance.state === "terminated" || isAsked(fleet, instance)) continue;
    const before = context.sightings.get(instance.id);
    out.sightings.set(instance.id, {
      firstAt: before?.firstAt ?? context.now,
      listings: (before?.listings ?? 0) + 1,
    });
  }
  return out;
}

/** The instance's new fact, or `null` when nothing changed. */
function foldInstance(
  fact: InstanceFact,
  seen: Instance | undefined,
  startedAt: number,
  now: number,
  heard: boolean,
  node: Node,
): InstanceFact | null {
  if (seen === undefined) {
    if (startedAt < fact.boundAt || fact.absentSince !== null) return null;
    if (heard && node.phase.kind !== "terminating") return null;
    return { ...fact, absentSince: now };
  }
  const next: InstanceFact = {
    ...fact,
    state: seen.state,
    internalIp: seen.internalIp,
    externalIp: seen.externalIp,
    pricePerHour: seen.pricePerHour,
    absentSince: null,
  };
  return JSON.stringify(next) === JSON.stringify(fact) ? null : next;
}

function isAsked(fleet: Fleet, instance: Instance): boolean {
  for (const operation of fleet.operations.values()) {
    if (operation.payload.kind === "create" && operation.payload.request.name === instance.name) return true;
  }
  return false;
}

/**
 * Open creates: an instance that carries the ask's name is its answer, however the call ended (adopt);
 * for a tag-only provider a settled listing without it is one of the two that allow asking again.
 */
function foldAsks(
  fleet: Fleet,
  provider: string,
  listing: { startedAt: number; instances: Instance[] },
  context: { now: number; settleMs: number },
  out: ListingFold,
): void {
  for (const operation of fleet.operations.values()) {
    const payload = operation.payload;
    if (payload.kind !== "create" || payload.provider !== provider) continue;
    const found = listing.instances.find((i) => i.name === payload.request.name && i.state !== "terminated");
    if (found !== undefined) out.answers.push({ operation, instance: found });
    else if (listing.startedAt >= operation.askedAt + context.settleMs) {
      out.operations.push({ ...operation, lookups: operation.lookups + 1 });
    }
  }
}

/** What an instance that nobody claims becomes: a node of its pool, or a surplus to be ended. */
export function adoptInstance(
  fleet: Fleet,
  provider: PoolName,
  instance: Instance,
  now: number,
  wanted: boolean,
): { node: Node; event: EventDraft } {
  const pool = (instance.tags["navarch-pool"] ?? null) as PoolName | null;
  const slot = Number(instance.tags["navarch-slot"] ?? Number.NaN);
  const gen = Number(instance.tags["navarch-gen"] ?? Number.NaN);
  const id = (instance.tags["navarch-node"] ?? instance.id) as NodeId;
  const taken = fleet.nodes.has(id);
  const base = newNode({
    id: (taken ? instance.id : id) as NodeId,
    pool,
    slot: Number.isInteger(slot) ? slot : null,
    gen: Number.isInteger(gen) ? gen : 0,
    at: now,
    replaces: null,
  });
  const node: Node = {
    ...base,
    instance: bindInstance(provider, instance, now),
    phase: wanted
      ? { kind: "booting", since: now }
      : { kind: "terminating", since: now, purpose: "surplus", accepted: null, notBefore: 0 },
  };
  const message = wanted
    ? `adopted instance ${instance.id}, which carries this fleet's mark`
    : `instance ${instance.id} carries this fleet's mark but no slot wants it`;
  const kind = wanted ? "instance.adopted" : "instance.surplus";
  return { node, event: { at: now, kind, node: node.id, pool, session: null, actor: "navarch", message } };
}

/** The fact that a node keeps about its instance, from the provider's own words. */
export function bindInstance(provider: PoolName, instance: Instance, now: number): InstanceFact {
  return {
    id: instance.id,
    provider,
    state: instance.state,
    region: instance.region,
    zone: instance.zone,
    instanceType: instance.instanceType,
    internalIp: instance.internalIp,
    externalIp: instance.externalIp,
    pricePerHour: instance.pricePerHour,
    boundAt: now,
    absentSince: null,
  };
}
