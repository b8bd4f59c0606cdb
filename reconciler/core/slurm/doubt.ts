/**
 * A NodeName of a pool that may be another machine's than its node's: a node that was bought after
 * the boot that Slurm knows has not registered yet. A machine that no list showed, and whose slot
 * was filled meanwhile, still has its name and its jobs. Pure.
 */
import type { Node } from "../../../schema/node.ts";

export type Doubt = { name: string; message: string };

/** The names that a machine without one may have in Slurm, each with why. */
export function doubtsOf(node: Node, nodes: Iterable<Node>): Doubt[] {
  if (node.slurm !== null || node.agent === null || node.pool === null) return [];
  return [...nodes].flatMap((other): Doubt[] => {
    const name = other.slurm?.name;
    if (other.pool !== node.pool || name === undefined || !isInDoubt(other)) return [];
    const why = `${other.id} has not registered as ${name} in Slurm since it was bought`;
    return [{ name, message: `${why}: the name may be this machine's` }];
  });
}

/** An adopted machine may have booted long before its record; only a bought one is a doubt. */
function isInDoubt({ slurm, offer, createdAt, phase }: Node): boolean {
  if (slurm?.by !== "slot" || offer === null || offer === undefined) return false;
  return phase.kind !== "gone" && slurm.bootTime !== null && slurm.bootTime < createdAt;
}
