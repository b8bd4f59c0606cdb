/**
 * A NodeName that may be another machine's than its node's. A node that was bought after the boot
 * that Slurm knows has not registered yet: a machine that no list showed, and whose slot was filled
 * meanwhile, still has its name and its jobs. And of two machines that one purchase became, the one
 * that registered last has the name, whichever of them the node was bound to; so has one that was
 * bought later, of which an old copy of the database does not know. Pure.
 */
import type { Node } from "../../../schema/node.ts";

export type Doubt = {
  name: string;
  /** Others drained, reserved or reboot it there. */
  held: boolean;
  message: string;
};

export type Doubts = {
  /** Names that nobody registered since their node was bought, by pool. */
  unheard: Map<string, Doubt[]>;
  /** The names of bought nodes by their slot. */
  bySlot: Map<string, Doubt & { gen: number }>;
};

const slotOf = ({ pool, slot }: Node): string => `${pool}/${slot}`;

/** Most fleets have few. One pass, because a plan may ask for each of its nodes. */
export function namesInDoubt(nodes: Iterable<Node>): Doubts {
  const doubts: Doubts = { unheard: new Map(), bySlot: new Map() };
  for (const node of nodes) {
    const { id, pool, slurm, phase } = node;
    if (pool === null || slurm?.by !== "slot" || phase.kind === "gone") continue;
    const { name, held } = slurm;
    const twice = `it was bought for the slot of ${id}: ${name} in Slurm may be either`;
    doubts.bySlot.set(slotOf(node), { name, held, gen: node.gen, message: twice });
    if (!isUnheard(node)) continue;
    const why = `${id} has not registered as ${name} in Slurm since it was bought`;
    const doubt = { name, held, message: `${why}: the name may be this machine's` };
    doubts.unheard.set(pool, [...(doubts.unheard.get(pool) ?? []), doubt]);
  }
  return doubts;
}

/** The names that a machine without one may have in Slurm, each with why. */
export function doubtsOf(node: Node, { unheard, bySlot }: Doubts): readonly Doubt[] {
  if (node.slurm !== null || node.pool === null) return [];
  const { phase } = node;
  const isSurplus = "purpose" in phase && phase.purpose === "surplus";
  // Its agent reports as the other one's.
  const holder = isSurplus ? bySlot.get(slotOf(node)) : undefined;
  const others = node.agent === null ? [] : (unheard.get(node.pool) ?? []);
  // An earlier machine of the slot cannot have registered after the holder's.
  return holder === undefined || node.gen < holder.gen ? others : [holder, ...others];
}

/** An adopted machine may have booted long before its record; only a bought one is a doubt. */
function isUnheard({ slurm, offer, createdAt }: Node): boolean {
  if (offer === null || offer === undefined || slurm === null) return false;
  return slurm.bootTime !== null && slurm.bootTime < createdAt;
}
