/**
 * Folds a complete cloud listing into the fleet. Pure. The listing began before the fleet was read
 * (docs/reference/providers.md#orphans). Only instances that were bound before it began can be
 * absent, and an instance whose agent reports is never absent: then the listing is wrong.
 */
import * as v from "valibot";
import type { EventDraft } from "../../../schema/event.ts";
import { type InstanceId, NodeId, PoolName } from "../../../schema/id.ts";
import type { InstanceFact, Node } from "../../../schema/node.ts";
import type { Operation } from "../../../schema/operation.ts";
import { nodeEvent } from "../event-draft.ts";
import { type Fleet, isUnbought, isWorker } from "../fleet.ts";
import type { Instance, Reach } from "../provider.ts";
import { isInstanceOf, machineOf, REACHES_ANY, unreached } from "../reach.ts";
import { newNode } from "./new-node.ts";
import { type FailedPurchase, newsOf, troubleOf } from "./trouble.ts";
import { presenceOf, type Presences } from "./presence.ts";

/** An instance of this fleet that no node claims. Kept in memory only. */
export type Sighting = {
  firstAt: number;
  listings: number;
  /** Its tags name no pool of this fleet. */
  ignored: boolean;
};

export type ListingFold = {
  nodes: Node[];
  /** What the cloud says for the first time: purchases that it gave up, interruptions. */
  news: EventDraft[];
  /** Nodes whose purchase the cloud gave up. */
  failed: FailedPurchase[];
  /** Open creates that this listing does not show, with their count of lookups. */
  operations: Operation[];
  /** Open operations whose effect the listing shows, however their call ended. */
  answers: { operation: Operation; instance: Instance }[];
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
    /** What the provider reached when it was listed. */
    reach: Reach;
    sightings: ReadonlyMap<InstanceId, Sighting>;
    presence: Presences;
    heartbeatTimeoutMs: number;
  },
): ListingFold {
  const out: ListingFold = {
    nodes: [],
    news: [],
    failed: [],
    operations: [],
    answers: [],
    sightings: new Map(),
  };
  const byId = new Map(listing.instances.map((instance) => [instance.id, instance]));
  const claimed = new Set<InstanceId>();
  const { reach } = context;
  const machines = machinesIn(fleet);
  for (const node of fleet.nodes.values()) {
    // The instance of a gone node is unclaimed: if it still exists, it becomes a sighting.
    if (node.instance === null || node.phase.kind === "gone") continue;
    const shown = byId.get(node.instance.id);
    if (shown !== undefined && isInstanceOf(node, { provider, reach, instance: shown })) {
      claimed.add(shown.id);
    }
    if (node.instance.provider !== provider) continue;
    // A list of another account or region says nothing about it.
    if (unreached(provider, reach, node.instance) !== null) continue;
    if (shown !== undefined && isFoldedDouble(node, fleet, context.now, out)) continue;
    const { heard: isHeard, silentMs } = presenceOf(context.presence, node.id);
    const heard = isHeard && silentMs !== null && silentMs <= context.heartbeatTimeoutMs;
    const next = foldInstance(
      node.instance,
      newBelonging(node.instance, shown, reach, machines),
      shown,
      listing.startedAt,
      context.now,
      heard,
      node,
    );
    if (next === null) continue;
    out.nodes.push({ ...node, instance: next });
    const news = newsOf(node, next, context.now);
    out.news.push(...news.events);
    if (news.failed !== null) out.failed.push(news.failed);
  }
  foldAsks(fleet, provider, listing, context, out);
  for (const instance of listing.instances) {
    if (claimed.has(instance.id) || instance.state === "terminated" || isAsked(fleet, instance))
      continue;
    const before = context.sightings.get(instance.id);
    out.sightings.set(instance.id, {
      firstAt: before?.firstAt ?? context.now,
      listings: (before?.listings ?? 0) + 1,
      ignored: before?.ignored ?? false,
    });
  }
  return out;
}

/** The machines that nodes hold, as far as their account is known. */
function machinesIn({ nodes }: Fleet): Set<string> {
  const machines = new Set<string>();
  for (const { instance, phase } of nodes.values()) {
    const machine = instance === null || phase.kind === "gone" ? null : machineOf(instance);
    if (machine !== null) machines.add(machine);
  }
  return machines;
}

/** The list that shows the machine tells its account, unless another node holds it there. */
function newBelonging(
  fact: InstanceFact,
  shown: Instance | undefined,
  { type, account }: Reach,
  machines: Set<string>,
): Pick<InstanceFact, "type" | "account"> {
  if (shown === undefined) return {};
  const known = type === null || fact.type !== undefined ? {} : { type };
  if (account === null || fact.account !== undefined) return known;
  const machine = machineOf({ ...fact, account }) ?? "";
  if (machines.has(machine)) return known;
  machines.add(machine);
  return { ...known, account };
}

/**
 * The node whose machine a surplus one is: older releases took a machine for surplus that another
 * provider of its account had listed too.
 */
export function doubleOf(node: Node, { nodes }: Pick<Fleet, "nodes">): Node | null {
  if (!isSurplus(node) || node.instance === null) return null;
  const { id, region, provider } = node.instance;
  for (const other of nodes.values()) {
    if (other === node || other.phase.kind === "gone" || isSurplus(other)) continue;
    const fact = other.instance;
    if (fact === null || fact.id !== id || fact.region !== region) continue;
    if (fact.provider !== provider && isTaggedAs(node, other)) return other;
  }
  return null;
}

const isSurplus = ({ phase }: Node): boolean => "purpose" in phase && phase.purpose === "surplus";

/** A record of the same purchase was named after its instance. */
function isTaggedAs(node: Node, other: Node): boolean {
  const isNamed = String(node.id) === String(node.instance?.id);
  return isNamed && node.pool === other.pool && node.slot === other.slot && node.gen === other.gen;
}

/** Drops a record of surplus whose machine another node holds; `false`: it is none. */
function isFoldedDouble(
  node: Node,
  fleet: Fleet,
  now: number,
  out: Pick<ListingFold, "nodes" | "news">,
): boolean {
  const double = doubleOf(node, fleet);
  if (double === null) return false;
  const message = `instance ${node.instance?.id} is the machine of ${double.id}: not ended`;
  out.nodes.push({ ...node, phase: { kind: "gone", since: now, purpose: "surplus" } });
  out.news.push(nodeEvent({ ...node, session: null }, now, "instance.adopted", message));
  return true;
}

/** The instance's new fact, or `null` when nothing changed. */
function foldInstance(
  fact: InstanceFact,
  belonging: Pick<InstanceFact, "type" | "account">,
  seen: Instance | undefined,
  startedAt: number,
  now: number,
  heard: boolean,
  node: Node,
): InstanceFact | null {
  if (seen === undefined) {
    if (startedAt < fact.boundAt) return null;
    if (heard && node.phase.kind !== "terminating") return null;
    const listings = (fact.absentListings ?? 0) + 1;
    if (listings > ABSENT_COUNTED_MAX) return null;
    return { ...fact, absentSince: fact.absentSince ?? now, absentListings: listings };
  }
  const next: InstanceFact = {
    ...fact,
    ...belonging,
    state: seen.state,
    ...(fact.state === "running" || fact.runningAt !== undefined ? {} : runningSince(seen, now)),
    internalIp: seen.internalIp,
    externalIp: seen.externalIp,
    pricePerHour: seen.pricePerHour ?? fact.pricePerHour,
    absentSince: null,
    absentListings: 0,
    ...hostKeysOf(seen.hostKeys ?? fact.hostKeys ?? null),
    ...(seen.host === undefined ? {} : { host: seen.host }),
    ...pinnedCost(fact, seen),
    ...troubleOf(seen),
  };
  // A notice may be withdrawn.
  if (seen.notice === null) delete next.notice;
  return JSON.stringify(next) === JSON.stringify(fact) ? null : next;
}

function isAsked(fleet: Fleet, instance: Instance): boolean {
  for (const operation of fleet.operations.values()) {
    if (operation.payload.kind === "create" && operation.payload.request.name === instance.name)
      return true;
  }
  return false;
}

/**
 * Settles open creates by the instance that has the request's name, however the call ended. For a
 * tag-only provider, a settled listing without it is one of the two that permit a repeat.
 */
function foldAsks(
  fleet: Fleet,
  provider: string,
  listing: { startedAt: number; instances: Instance[] },
  context: { now: number; settleMs: number; reach: Reach },
  out: ListingFold,
): void {
  for (const operation of fleet.operations.values()) {
    const payload = operation.payload;
    if (payload.kind === "terminate" && payload.provider === provider) {
      // The cloud shows the end that was asked for, whatever became of the call.
      const ended = listing.instances.find(
        (i) => i.id === payload.instanceId && i.state === "terminated",
      );
      if (ended !== undefined) out.answers.push({ operation, instance: ended });
    }
    if (payload.kind !== "create" || payload.provider !== provider) continue;
    const { type, account, request } = payload;
    const asked = { type, account, region: request.region };
    if (unreached(provider, context.reach, asked) !== null) continue;
    const found = listing.instances.find(
      (i) => i.name === payload.request.name && i.state !== "terminated",
    );
    const dead = listing.instances.find(
      (i) => i.name === payload.request.name && i.state === "terminated" && i.failure !== null,
    );
    const answer = found ?? dead;
    if (answer !== undefined) out.answers.push({ operation, instance: answer });
    else if (listing.startedAt >= operation.askedAt + context.settleMs) {
      out.operations.push({ ...operation, lookups: operation.lookups + 1 });
    }
  }
}

/** `drainMs` 0 = no limit. */
export type Adoption = { kind: "node" } | { kind: "surplus"; drainMs: number };

/**
 * What an unclaimed instance becomes: the machine of a known agent, a node of its pool, or a
 * surplus that is drained and terminated. `null` if its tags cannot name a node.
 */
export function adoptInstance(
  fleet: Fleet,
  provider: PoolName,
  instance: Instance,
  now: number,
  wanted: Adoption,
): { node: Node; event: EventDraft } | null {
  const tagged = (name: string): string | null => instance.tags[name] ?? null;
  const pool = v.safeParse(PoolName, tagged("navarch-pool"));
  const slot = Number(tagged("navarch-slot") ?? Number.NaN);
  const gen = Number(tagged("navarch-gen") ?? Number.NaN);
  const id = v.safeParse(NodeId, tagged("navarch-node") ?? instance.id);
  if (!pool.success || !id.success || !Number.isInteger(slot) || slot < 0) return null;
  const met = fleet.nodes.get(id.output);
  const stray = met !== undefined && isUnbought(met) && !isWorker(met);
  const named = met === undefined || stray ? id.output : v.parse(NodeId, instance.id);
  const from = {
    id: named,
    pool: pool.output,
    slot,
    gen: Number.isInteger(gen) ? Math.max(0, gen) : 0,
  };
  const base = stray ? { ...met, ...from } : newNode({ ...from, at: now, replaces: null });
  const bound = bindInstance(provider, instance, now);
  const { cost } = bound;
  const to = Math.max(cost?.to ?? now, chargedTo(fleet, provider, instance));
  const isOld = isOlderThanRecord(fleet, instance);
  const node: Node = {
    ...base,
    instance: { ...bound, ...(cost && { cost: { ...cost, to } }), ...(isOld && { adopted: true }) },
    ...adoptedPhase(base, instance, now, wanted),
  };
  const message =
    wanted.kind === "node"
      ? `adopted instance ${instance.id}, which carries this fleet's mark`
      : `instance ${instance.id} carries this fleet's mark but no slot wants it`;
  const kind = wanted.kind === "node" ? "instance.adopted" : "instance.surplus";
  return { node, event: nodeEvent({ ...node, session: null }, now, kind, message) };
}

/**
 * An instance older than the store may have served before the store was created. A younger one was
 * bought with this store and appeared after its purchase had been abandoned: it never served.
 */
export function isOlderThanRecord({ facts }: Fleet, { createdAtMs }: Instance): boolean {
  const record = facts.get("record");
  return record?.kind !== "record" || createdAtMs < record.since;
}

/** A running surplus may have work on it, so it is drained first. */
function adoptedPhase(
  base: Node,
  instance: Instance,
  now: number,
  wanted: Adoption,
): Partial<Node> {
  if (wanted.kind === "node")
    return base.agent === null ? { phase: { kind: "booting", since: now } } : {};
  const purpose = "surplus" as const;
  if (instance.state !== "running")
    return { phase: { kind: "terminating", since: now, purpose, accepted: null, notBefore: 0 } };
  return {
    phase: {
      kind: "draining",
      since: now,
      purpose,
      drainedAt: null,
      sawWork: false,
      deadlineAt: wanted.drainMs === 0 ? 0 : now + wanted.drainMs,
    },
  };
}

/** Of a row older than this field: the price until now must outlive a new one. */
function pinnedCost(fact: InstanceFact, seen: Instance): Pick<InstanceFact, "cost"> {
  const { cost, boundAt, pricePerHour } = fact;
  if (cost !== undefined || (seen.pricePerHour ?? pricePerHour) === pricePerHour) return {};
  return { cost: { to: boundAt, pricePerHour, endedAt: null } };
}

/** A machine has one key of each kind. */
function hostKeysOf(keys: readonly string[] | null): Pick<InstanceFact, "hostKeys"> {
  return keys === null ? {} : { hostKeys: keys.slice(0, 16) };
}

/** What a node records about its instance, as the provider lists it. */
export function bindInstance(provider: PoolName, instance: Instance, now: number): InstanceFact {
  return {
    id: instance.id,
    provider,
    state: instance.state,
    ...runningSince(instance, now),
    region: instance.region,
    zone: instance.zone,
    instanceType: instance.instanceType,
    internalIp: instance.internalIp,
    externalIp: instance.externalIp,
    pricePerHour: instance.pricePerHour,
    boundAt: now,
    absentSince: null,
    absentListings: 0,
    ...hostKeysOf(instance.hostKeys),
    ...(instance.host === undefined ? {} : { host: instance.host }),
    ...troubleOf(instance),
    cost: { to: billedFrom(instance, now), pricePerHour: instance.pricePerHour, endedAt: null },
  };
}

/** When the cloud first calls it running; that stays. */
function runningSince({ state }: Instance, now: number): Pick<InstanceFact, "runningAt"> {
  return state === "running" ? { runningAt: now } : {};
}

/** An older creation time is a clock that is wrong, or no machine of this fleet. */
const AGE_MAX_MS = 400 * 86_400_000;

/** Since its creation by the provider's clock, where that is plausible; else since now. */
function billedFrom({ createdAtMs }: Instance, now: number): number {
  const isPlausible = createdAtMs <= now && createdAtMs > now - AGE_MAX_MS;
  return isPlausible ? Math.max(0, Math.floor(createdAtMs)) : now;
}

/** The record of a node that is gone may have charged this machine already, at any provider. */
function chargedTo({ nodes }: Fleet, provider: PoolName, instance: Instance): number {
  let to = 0;
  for (const node of nodes.values()) {
    if (node.phase.kind !== "gone") continue;
    if (!isInstanceOf(node, { provider, reach: REACHES_ANY, instance })) continue;
    to = Math.max(to, node.instance?.cost?.to ?? node.phase.since);
  }
  return to;
}
/** Counting stops here, because each change is a write. */
const ABSENT_COUNTED_MAX = 10;
