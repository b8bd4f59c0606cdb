/**
 * Which slots are being replaced: from the intent to drain until the next node is verified
 * (safety.md §4.1), so that an image that never comes up stops after a handful. Pure.
 */
import type { Node } from "../../schema/node.ts";

/** How a session ended that was never a fault: it is no arrival of one. */
export const QUARANTINED = "quarantined";

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
 * Slots that stand empty between a node that left because of a fault and the one that is to come:
 * they are out of service like any other, or each change-over would let one more node go.
 */
export function vacantSlots(nodes: Iterable<Node>): Node[] {
  const taken = new Set<string>();
  const last = new Map<string, Node>();
  for (const node of nodes) {
    if (node.slot === null) continue;
    const key = `${node.pool}/${node.slot}`;
    if (node.phase.kind !== "gone") taken.add(key);
    else if ((last.get(key)?.gen ?? -1) < node.gen) last.set(key, node);
  }
  return [...last].flatMap(([key, node]) => (!taken.has(key) && leavesGap(node) ? [node] : []));
}
