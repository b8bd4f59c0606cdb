/**
 * How many nodes of a pool may be out at once, all rungs together (decision 13). The denominator is the
 * wanted size, not the current count, which shrinks as nodes go (safety.md §4.1); in flight is counted
 * by slot, from the product's cordon until the slot's replacement is verified, so a broken image stops
 * after a handful. Pure: a budget is made for one decision and spent in it.
 */
import type { PoolConfig, Share } from "../../schema/config.ts";
import type { Node } from "../../schema/node.ts";

/** `max(1, floor(p·n))`: never `ceil`, and never nothing (safety.md §4.1). A fixed 0 means none. */
export function shareOf(share: Share, desired: number): number {
  return share.kind === "nodes" ? share.nodes : Math.max(1, Math.floor((share.percent / 100) * desired));
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
      return node.cordon.product !== null || (node.operation !== null && node.operation.endsWith(".cordon"));
    case "draining":
    case "terminating":
      return node.phase.purpose === "replace" || node.phase.purpose === "lost";
    case "repairing":
    case "replacing":
      return true;
    case "gone":
    case "held":
      return false;
  }
}

export type Budget = {
  /** True and spent if the slot may go out, or is out already. */
  take(node: Node): boolean;
  /** For messages: `1 of 1 nodes are out`. */
  tell(): string;
};

export function openBudget(pool: PoolConfig, desired: number, nodes: Iterable<Node>): Budget {
  const max = shareOf(pool.health.maxUnavailable, desired);
  const out = new Set<string>();
  for (const node of nodes) if (isOut(node)) out.add(slotKey(node));
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
