/**
 * Takes instances of this fleet that no node claims: as nodes of their pools, or as surplus. Pure
 * except for the unit of work.
 */
import type { InstanceId, NodeId, PoolName } from "../../../schema/id.ts";
import type { Node, PoolState } from "../../../schema/node.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import { desiredOf, type Fleet } from "../fleet.ts";
import type { Instance } from "../provider.ts";
import type { FoldInput } from "./everything.ts";
import { adoptInstance, bindInstance, isOlderThanRecord } from "./listing.ts";
import type { Adoption, Sighting } from "./listing.ts";

/** Listings that must show an unclaimed instance before it is adopted. */
const LISTINGS_MIN = 2;

/**
 * Makes unclaimed instances nodes of their pools, or surplus, after two listings and the settle
 * time. Returns the sightings that remain.
 */
export function adopt(
  input: Pick<FoldInput, "config" | "now" | "settleMs">,
  work: UnitOfWork,
  fleet: Fleet,
  from: { provider: string; instances: Instance[]; sightings: Map<InstanceId, Sighting> },
): Map<InstanceId, Sighting> {
  const { provider, instances, sightings } = from;
  const left = new Map<InstanceId, Sighting>();
  const byId = new Map(instances.map((instance) => [instance.id, instance]));
  const nodes = new Map(fleet.nodes);
  for (const [id, sighting] of sightings) {
    const instance = byId.get(id);
    if (instance === undefined) continue;
    const settled = input.now - sighting.firstAt >= (input.settleMs.get(provider) ?? 0);
    if (sighting.listings < LISTINGS_MIN || !settled) {
      left.set(id, sighting);
      continue;
    }
    const name = provider as PoolName;
    // The purchase's record was unreadable, and this node was held in its place.
    const asked = nodes.get((instance.tags["navarch-node"] ?? "") as NodeId);
    if (asked?.phase.kind === "held" && asked.instance === null && asked.pool !== null) {
      const bound = { ...asked, instance: bindInstance(name, instance, input.now) };
      nodes.set(bound.id, bound);
      work.putNode(bound);
      continue;
    }
    const wanted = placeOf(input, { ...fleet, nodes }, work, instance);
    const adopted = adoptInstance({ ...fleet, nodes }, name, instance, input.now, wanted.as);
    // An instance of an unknown pool is left alone: its tags may be copied from another fleet.
    if (adopted === null) {
      left.set(id, { ...sighting, ignored: true });
      continue;
    }
    if (wanted.raised !== null) work.putPool(wanted.raised);
    const node = withCordon(adopted.node, nodes, instance);
    nodes.set(node.id, node);
    work.putNode(node);
    work.tell([adopted.event]);
    const pool = work.pool(adopted.node.pool);
    if (pool !== null && adopted.node.gen >= pool.nextGen)
      work.putPool({ ...pool, nextGen: adopted.node.gen + 1 });
  }
  return left;
}

/** A machine that was believed to be gone and is back keeps the cordon of a person. */
function withCordon(node: Node, nodes: Fleet["nodes"], instance: Instance): Node {
  const former = nodes.get((instance.tags["navarch-node"] ?? "") as NodeId);
  const isBack = former?.phase.kind === "gone" && former.instance?.id === instance.id;
  const human = isBack ? former.cordon.human : null;
  return human === null ? node : { ...node, cordon: { ...node.cordon, human } };
}

/**
 * Whether a slot needs the instance. After the loss of the database the wanted size is that of the
 * configuration, or what a program made of a pool that looked empty, so instances are adopted up to
 * the pool's maximum.
 */
function placeOf(
  input: Pick<FoldInput, "config">,
  fleet: Fleet,
  work: UnitOfWork,
  instance: Instance,
): { as: Adoption; raised: PoolState | null } {
  const pool = input.config.pools.find((one) => one.name === instance.tags["navarch-pool"]);
  const slot = Number(instance.tags["navarch-slot"] ?? Number.NaN);
  const drainMs = pool?.drain.timeoutMs ?? 0;
  const surplus = { as: { kind: "surplus" as const, drainMs }, raised: null };
  const node = { kind: "node" as const };
  if (pool === undefined || !Number.isInteger(slot) || instance.state === "terminating")
    return surplus;
  const taken = new Set<number>();
  for (const node of fleet.nodes.values()) {
    if (node.pool !== pool.name || node.slot === null || node.phase.kind === "gone") continue;
    // A held node that no listing shows does not block its slot.
    const put = node.phase.kind === "held" || node.cordon.human !== null;
    if (put && (node.instance?.absentListings ?? 0) > 0) continue;
    taken.add(node.slot);
  }
  if (taken.has(slot)) return surplus;
  const state = work.pool(pool.name);
  if (taken.size < desiredOf(pool, state ?? undefined)) return { as: node, raised: null };
  if (state === null || taken.size >= pool.scaling.maxNodes) return surplus;
  const isByPerson = state.desiredBy.startsWith("human:");
  const wasThere = !isByPerson && isOlderThanRecord(fleet, instance);
  if (state.desiredBy !== "config" && !wasThere) return surplus;
  return { as: node, raised: { ...state, desired: taken.size + 1 } };
}
