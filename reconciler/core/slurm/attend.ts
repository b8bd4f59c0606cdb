/** Names the Slurm nodes whose state is awaited, so that they are listed often. Pure. */
import type { Node } from "../../../schema/node.ts";
import type { Fleet } from "../fleet.ts";

/** Marks and releases that take longer wait for other parties: the next list at rest shows them. */
const ATTENDED_MS = 600_000;

/** Drains until their end, however long a job runs; marks and releases of the last ten minutes. */
export function attendedOf({ nodes }: Fleet, now: number): Set<string> {
  const names = new Set<string>();
  for (const node of nodes.values()) {
    if (node.slurm !== null && isAwaited(node, now)) names.add(node.slurm.name);
  }
  return names;
}

function isAwaited({ phase, cordon, slurm }: Node, now: number): boolean {
  if (slurm === null || slurm.absentSince !== null) return false;
  const { kind, since } = phase;
  if (kind === "gone" || kind === "terminating") return false;
  if (kind === "draining") return phase.drainedAt === null;
  const own = cordon.product ?? cordon.human;
  if (now - Math.max(since, own?.at ?? 0) >= ATTENDED_MS) return false;
  if (own !== null) return !slurm.drain;
  return slurm.owner === "own" || slurm.stale === true;
}
