/**
 * Limits how many nodes of a pool are out at once, all repair steps together. The limit is a share
 * of the wanted size, because the current count shrinks as nodes leave
 * (docs/reference/safety.md#budgets). A slot is out from Navarch's cordon until its replacement is
 * verified, so a broken image stops after a handful. Pure: made for one decision and spent in it.
 */
import type { PoolConfig } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import { isUnbought } from "../fleet.ts";
import { shareOf } from "../safety/budget.ts";
import { isEvident } from "../safety/evident.ts";
import { holdsPlace } from "../safety/in-flight.ts";
import { slotKeyOf } from "../safety/scope.ts";
import { isHeldInSlurm } from "../slurm/hold.ts";
import type { NoRoom } from "../say/limit.ts";

/** Whether Navarch has this node's slot out of service, or is filling it again. */
export function isOut(node: Node): boolean {
  if (holdsPlace(node)) return true;
  // Navarch does not act on a node that a person took out of service.
  const theirs = (node.cordon.human !== null || isHeldInSlurm(node)) && node.order === null;
  const marked = node.phase.kind === "suspect" && isMarked(node) && !theirs;
  // To cordon an evidently dead node costs no capacity.
  return marked && node.health.verdict === "unhealthy" && !isEvident(node);
}

function isMarked({ cordon, operation }: Node): boolean {
  return cordon.product !== null || operation?.endsWith(".cordon") === true;
}

/** Whether Navarch cordoned the node for its silence alone. */
export function isMuted(node: Node): boolean {
  return node.phase.kind === "suspect" && isMarked(node) && node.health.verdict !== "unhealthy";
}

export type Budget = {
  /** True if the slot may go out, which spends the budget, or is out already. */
  take(node: Node): boolean;
  /** Why it has no room for the node. */
  full(node: Node): NoRoom;
};

/**
 * Counts lazily: most plans of a large fleet spend nothing. `desired` is the wanted size, `places`
 * that plus the unmanaged machines. An unmanaged node counts against all nodes that are out; a
 * bought node only against bought nodes, because an unmanaged node is never replaced.
 */
export function openBudget(
  pool: PoolConfig,
  size: { desired: number; places: number },
  nodes: Iterable<Node>,
  counts: (node: Node) => boolean,
  vacant: () => readonly Node[] = () => [],
): Budget {
  type Side = { max: number; out: Set<string> };
  let counted: { all: Side; own: Side } | null = null;
  const count = (): NonNullable<typeof counted> => {
    const out = [...nodes].filter(counts).concat(vacant());
    const side = (places: number, of: readonly Node[]): Side => {
      return { max: shareOf(pool.health.maxUnavailable, places), out: new Set(of.map(slotKeyOf)) };
    };
    const own = out.filter((node) => !isUnbought(node));
    return { all: side(size.places, out), own: side(size.desired, own) };
  };
  const open = (): NonNullable<typeof counted> => (counted ??= count());
  const sideOf = (node: Node): Side => (isUnbought(node) ? open().all : open().own);
  return {
    take(node) {
      const { max, out } = sideOf(node);
      const key = slotKeyOf(node);
      if (out.has(key)) return true;
      if (out.size >= max) return false;
      out.add(key);
      open().all.out.add(key);
      return true;
    },
    full(node) {
      const { max, out } = sideOf(node);
      return { code: "pool_out", pool: pool.name, out: out.size, max };
    },
  };
}
