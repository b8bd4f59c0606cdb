/**
 * A NodeName of a pool that may be another machine's than its node's: a node that was bought after
 * the boot that Slurm knows has not registered yet. A machine that no list showed, and whose slot
 * was filled meanwhile, still has its name and its jobs. Pure.
 */
import type { Node } from "../../../schema/node.ts";

export type Doubt = { name: string; message: string };

/** By pool; most fleets have none. One pass, because a plan may ask for each of its nodes. */
export function namesInDoubt(nodes: Iterable<Node>): ReadonlyMap<string, Doubt[]> {
  const doubts = new Map<string, Doubt[]>();
  for (const node of nodes) {
    const { id, pool, slurm } = node;
    if (pool === null || slurm === null || !isInDoubt(node)) continue;
    const why = `${id} has not registered as ${slurm.name} in Slurm since it was bought`;
    const doubt = { name: slurm.name, message: `${why}: the name may be this machine's` };
    doubts.set(pool, [...(doubts.get(pool) ?? []), doubt]);
  }
  return doubts;
}

/** The names that a machine without one may have in Slurm, each with why. */
export function doubtsOf(node: Node, doubts: ReadonlyMap<string, Doubt[]>): readonly Doubt[] {
  if (node.slurm !== null || node.agent === null || node.pool === null) return [];
  return doubts.get(node.pool) ?? [];
}

/** An adopted machine may have booted long before its record; only a bought one is a doubt. */
function isInDoubt({ slurm, offer, createdAt, phase }: Node): boolean {
  if (slurm?.by !== "slot" || offer === null || offer === undefined) return false;
  return phase.kind !== "gone" && slurm.bootTime !== null && slurm.bootTime < createdAt;
}
