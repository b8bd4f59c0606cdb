/**
 * How many nodes of a pool may be out at once, all rungs together (decision 13). The denominator is
 * the wanted size, not the current count, which shrinks as nodes go (safety.md §4.1); in flight is
 * counted by slot, from the product's cordon until the slot's replacement is verified, so a broken
 * image stops after a handful. Pure: a budget is made for one decision and spent in it.
 */
import type { PoolConfig, Share } from "../../schema/config.ts";
import type { Node } from "../../schema/node.ts";

/** `max(1, floor(p·n))`: never `ceil`, and never nothing (safety.md §4.1). A fixed 0 means none. */
export function shareOf(share: Share, desired: number): number {
  return share.kind === "nodes"
    ? share.nodes
    : Math.max(1, Math.floor((share.percent / 100) * desired));
}

/** Whether the product has this node's slot out of service, or is filling it again. */
export function isOut(node: Node): boolean {
  switch (node.phase.kind) {
    case "requested":
    case "booting":
    case "bootstrapping":
    case "verifying":
      return node.replaces !== null;
    case "serving":
      return false;
    case "suspect":
      return isMarked(node) && node.health.verdict === "unhealthy";
    case "draining":
    case "terminating":
      return leavesGap(node);
    case "repairing":
    case "replacing":
      return true;
    case "gone":
    case "held":
      return false;
  }
}

/**
 * Whether the node's slot is to be filled again because of a fault, and not by its first purchase.
 */
function leavesGap(node: Node): boolean {
  if (!("purpose" in node.phase)) return false;
  const { purpose } = node.phase;
  return (
    purpose === "replace" || purpose === "lost" || (purpose === "failed" && node.replaces !== null)
  );
}

/**
 * Slots that stand empty between a node that left because of a fault and the one that is to come:
 * they are out of service like any other, or each change-over would let one more node go.
 */
export function vacantSlots(gone: readonly Node[], live: readonly Node[]): Node[] {
  const taken = new Set(live.map((node) => node.slot));
  const last = new Map<number, Node>();
  for (const node of gone) {
    if (node.slot === null || taken.has(node.slot)) continue;
    const before = last.get(node.slot);
    if (before === undefined || node.gen > before.gen) last.set(node.slot, node);
  }
  return [...last.values()].filter(leavesGap);
}

function isMarked(node: Node): boolean {
  return (
    node.cordon.product !== null || (node.operation !== null && node.operation.endsWith(".cordon"))
  );
}

/** Whether the product marked the node for its silence alone. */
export function isMuted(node: Node): boolean {
  return node.phase.kind === "suspect" && isMarked(node) && node.health.verdict !== "unhealthy";
}

export type Budget = {
  /** True and spent if the slot may go out, or is out already. */
  take(node: Node): boolean;
  /** For messages: `1 of 1 nodes are out`. */
  tell(): string;
};

export function openBudget(
  pool: PoolConfig,
  desired: number,
  nodes: Iterable<Node>,
  counts: (node: Node) => boolean,
  vacant: readonly Node[] = [],
): Budget {
  const max = shareOf(pool.health.maxUnavailable, desired);
  const out = new Set<string>();
  for (const node of nodes) if (counts(node)) out.add(slotKey(node));
  for (const node of vacant) out.add(slotKey(node));
  return {
    take(node) {
      const key = slotKey(node);
      if (out.has(key)) return true;
      if (out.size >= max) return false;
      out.add(key);
      return true;
    },
    tell: () => `${out.size} of at most ${max} nodes of pool ${pool.name} are out of service`,
  };
}

function slotKey(node: Node): string {
  return node.slot === null ? node.id : `${node.pool}/${node.slot}`;
}
