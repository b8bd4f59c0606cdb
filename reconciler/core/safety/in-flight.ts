/**
 * Which slots are being replaced: from the intent to drain until the next node is verified
 * (docs/reference/safety.md#budgets), so that an image that never comes up stops after a handful.
 * Pure.
 */
import type { Node } from "../../../schema/node.ts";

/** How a session ended that was never a fault: it is no arrival of one. */
export const QUARANTINED = "quarantined";
/** Outcome of a repair whose machine was removed by another party. */
export const LOST = "lost";

/** Whether the product has this node's slot on its way out, or is filling it again. */
export function holdsPlace(node: Node): boolean {
  switch (node.phase.kind) {
    case "requested":
    case "booting":
    case "bootstrapping":
    case "verifying":
      return node.replaces !== null;
    case "suspect":
      return node.operation !== null && node.operation.endsWith(".drain");
    case "draining":
      return node.phase.purpose === "repair" || leavesGap(node);
    case "terminating":
      return leavesGap(node);
    case "repairing":
    case "replacing":
      return true;
    case "serving":
    case "gone":
    case "held":
      return false;
  }
}

/** Whether there is evidence against it, beyond its silence. */
export function isSick({ session, health }: Node): boolean {
  return session !== null && health.verdict === "unhealthy";
}

/** Whether its slot is filled again because of a fault, and not by its first purchase. */
export function leavesGap(node: Node): boolean {
  if (!("purpose" in node.phase)) return false;
  const { purpose } = node.phase;
  if (purpose === "replace" || purpose === "lost") return true;
  return (purpose === "failed" || purpose === "lemon") && node.replaces !== null;
}

/**
 * It leaves, and another one is to take its place, or has done so: giving that place up costs
 * nobody anything. What a person had a hand in is left alone.
 */
export function isReplaced({ phase, cordon, order }: Node): boolean {
  if (phase.kind !== "draining" && phase.kind !== "terminating") return false;
  if (cordon.human !== null || order?.goal === "drain") return false;
  const { purpose } = phase;
  return purpose === "replace" || purpose === "lost" || purpose === "failed" || purpose === "lemon";
}

/**
 * Slots that stand empty between a node that left because of a fault and the one that is to come:
 * they are out of service like any other, or each change-over would let one more node go. Never
 * more of a pool than it is missing of its wanted size: one that was given up since is nobody's.
 */
export function vacantSlots(nodes: Iterable<Node>, desired: (pool: string) => number): Node[] {
  const pools = new Map<string, { filled: Set<number>; last: Map<number, Node> }>();
  for (const node of nodes) {
    if (node.slot === null || node.pool === null) continue;
    const known = pools.get(node.pool) ?? { filled: new Set(), last: new Map() };
    pools.set(node.pool, known);
    if (node.phase.kind !== "gone") known.filled.add(node.slot);
    else if ((known.last.get(node.slot)?.gen ?? -1) < node.gen) known.last.set(node.slot, node);
  }
  const out: Node[] = [];
  for (const [pool, { filled, last }] of pools) {
    const empty = [...last.values()].filter((one) => one.slot !== null && !filled.has(one.slot));
    const missing = Math.max(0, desired(pool) - filled.size);
    const left = empty.filter(leavesGap).sort((a, b) => b.gen - a.gen);
    out.push(...left.slice(0, missing));
  }
  return out;
}
