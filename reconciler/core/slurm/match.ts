/**
 * Tells which NodeName of Slurm is whose, strongest first: an alias of the configuration, the slot
 * in the pool's names, the name of an owned host, the node's id. Pure. Host names are never guessed
 * from: a name is taken over by a replacement, and two machines may report the same one.
 */
import type { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { SlurmFact } from "../../../schema/slurm.ts";
import { isWorker } from "../fleet.ts";

export type SlurmNames = {
  /** From a NodeName to a node id, the name of an owned host or an instance id. */
  aliases: Readonly<Record<string, string>>;
  /** NodeNames by slot, of each pool that has them. */
  slots: ReadonlyMap<string, readonly string[]>;
};

export type SlurmClaim = { name: string; by: SlurmFact["by"] };

export type SlurmClaims = {
  claims: ReadonlyMap<NodeId, SlurmClaim>;
  /** Nodes whose NodeName is in doubt, with the reason. */
  ambiguous: ReadonlyMap<NodeId, string>;
};

/** `listed`: the NodeNames that the controller shows. */
export function claimNames(
  nodes: Iterable<Node>,
  names: SlurmNames,
  listed: ReadonlySet<string>,
): SlurmClaims {
  const live = [...nodes].filter((node) => node.phase.kind !== "gone" && !isWorker(node));
  const aliases = aliasesByTarget(names.aliases);
  const places = occupants(live);
  // A name that the configuration gives to a place is of no other.
  const given = new Set([...names.slots.values()].flat());
  const isFree = (name: string): boolean =>
    listed.has(name) && !Object.hasOwn(names.aliases, name) && !given.has(name);
  const ambiguous = new Map<NodeId, string>();
  const kept = new Map<string, string>();
  const wanted = new Map<string, { id: NodeId; by: SlurmFact["by"] }[]>();
  const claim = (id: NodeId, name: string, by: SlurmFact["by"]): void => {
    const others = wanted.get(name);
    if (others === undefined) wanted.set(name, [{ id, by }]);
    else others.push({ id, by });
  };
  for (const node of live) {
    const { id, pool, slot, instance, slurm } = node;
    const own = [id, instance?.host?.name, instance?.id];
    const aliased = new Set(own.flatMap((one) => aliases.get(one ?? "") ?? []));
    const [first, second] = aliased;
    if (second !== undefined) {
      const all = [...aliased].sort().join(", ");
      ambiguous.set(id, `slurm.node_aliases gives ${id} several NodeNames: ${all}`);
      continue;
    }
    if (first !== undefined) {
      claim(id, first, "alias");
      continue;
    }
    const moved = movedSlot(node, names);
    if (moved !== null) {
      ambiguous.set(id, moved);
      kept.set(slurm?.name ?? "", moved);
      continue;
    }
    const bySlot = slot === null ? undefined : names.slots.get(pool ?? "")?.[slot];
    if (bySlot !== undefined && !Object.hasOwn(names.aliases, bySlot)) {
      if (places.get(placeOf(node)) === id) claim(id, bySlot, "slot");
      continue;
    }
    const host = instance?.host?.name;
    if (host !== undefined && isFree(host)) claim(id, host, "host");
    else if (isFree(id)) claim(id, id, "id");
  }
  for (const [name, why] of kept) {
    for (const { id } of wanted.get(name) ?? []) ambiguous.set(id, why);
    wanted.delete(name);
  }
  return { claims: settleClaims(wanted, ambiguous), ambiguous };
}

/**
 * Why the node's NodeName is in doubt: `slurm.nodes` was reordered or shortened while the machine
 * lives. `null` = it is not. Jobs may run under the former name, and slurmd keeps it.
 */
export function movedSlot(
  { id, pool, slot, slurm, instance }: Node,
  { aliases, slots }: SlurmNames,
): string | null {
  if (slurm === null || slurm.by !== "slot" || slot === null) return null;
  const to = slots.get(pool ?? "")?.[slot] ?? null;
  // An alias moves or gives away a name on purpose.
  if (to === slurm.name || Object.hasOwn(aliases, slurm.name)) return null;
  const own: readonly (string | undefined)[] = [id, instance?.host?.name, instance?.id];
  if (Object.values(aliases).some((target) => own.includes(target))) return null;
  const now = to === null ? "has no name" : `has ${to}`;
  const what = `node ${id} is ${slurm.name} in Slurm, but slot ${slot} of pool ${pool} ${now} now`;
  return `${what}: keep the order of slurm.nodes until the node is gone, and add names at the end`;
}

/** An owned host's name counts more than another node's id; of equals none has it. */
function settleClaims(
  wanted: ReadonlyMap<string, readonly { id: NodeId; by: SlurmFact["by"] }[]>,
  ambiguous: Map<NodeId, string>,
): Map<NodeId, SlurmClaim> {
  const claims = new Map<NodeId, SlurmClaim>();
  for (const [name, all] of wanted) {
    const hosts = all.filter(({ by }) => by === "host");
    const strongest = hosts.length > 0 ? hosts : all;
    const [one, other] = strongest;
    if (one !== undefined && other === undefined) claims.set(one.id, { name, by: one.by });
    if (other === undefined) continue;
    const ids = strongest
      .map(({ id }) => id)
      .sort()
      .join(", ");
    const message = `several nodes claim NodeName ${name} in Slurm: ${ids}`;
    for (const { id } of strongest) ambiguous.set(id, message);
  }
  return claims;
}

function aliasesByTarget(aliases: SlurmNames["aliases"]): Map<string, string[]> {
  const byTarget = new Map<string, string[]>();
  for (const [name, target] of Object.entries(aliases)) {
    const names = byTarget.get(target);
    if (names === undefined) byTarget.set(target, [name]);
    else names.push(name);
  }
  return byTarget;
}

const placeOf = ({ pool, slot }: Node): string => `${pool}/${slot}`;

/** The oldest occupant of each slot: a replacement has the name once the machine before is gone. */
function occupants(live: readonly Node[]): Map<string, NodeId> {
  const oldest = new Map<string, Node>();
  for (const node of live) {
    if (node.slot === null) continue;
    const before = oldest.get(placeOf(node));
    if (before === undefined || isOlder(node, before)) oldest.set(placeOf(node), node);
  }
  return new Map([...oldest].map(([place, { id }]) => [place, id]));
}

function isOlder(one: Node, other: Node): boolean {
  return one.gen !== other.gen ? one.gen < other.gen : one.createdAt < other.createdAt;
}
