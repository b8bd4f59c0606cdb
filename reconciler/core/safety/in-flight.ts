/**
 * Which slots are being replaced: from the intent to drain until the next node is verified
 * (docs/reference/safety.md#budgets), so that an image that never comes up stops after a handful.
 * Pure.
 */
import type { Node } from "../../../schema/node.ts";

/** Outcome of a session whose rule was suspended: it was no fault and is not counted. */
export const QUARANTINED = "quarantined";
/** Outcome of a repair whose machine was removed by another party. */
export const LOST = "lost";

/** Whether the node's slot is being repaired or filled again. */
export function holdsPlace(node: Node): boolean {
  switch (node.phase.kind) {
    case "requested":
    case "booting":
    case "bootstrapping":
    case "verifying":
      return node.replaces !== null;
    case "suspect":
      return isOrdered(node) || isEnded(node) || node.operation?.endsWith(".drain") === true;
    case "draining":
      return node.phase.purpose === "repair" || leavesGap(node);
    case "terminating":
      return leavesGap(node);
    case "repairing":
    case "replacing":
      return true;
    case "serving":
      return isOrdered(node) || isEnded(node);
    case "held":
      return isOrdered(node);
    case "gone":
      return false;
  }
}

/** A person ordered its replacement, which begins with this plan. */
const isOrdered = ({ order }: Node): boolean => order?.goal === "replace";

/** Its cloud ended it, and this plan takes note of that. */
const isEnded = ({ instance, health }: Node): boolean =>
  instance?.state === "terminated" && health.silentSince !== null;

/** Whether there is evidence against the node beyond its silence. */
export function isSick({ session, health }: Node): boolean {
  return session !== null && health.verdict === "unhealthy";
}

/** Whether the slot is filled again because of a fault. */
export function leavesGap(node: Node): boolean {
  if (!("purpose" in node.phase)) return false;
  const { purpose } = node.phase;
  if (purpose === "replace" || purpose === "lost") return true;
  return (purpose === "failed" || purpose === "lemon") && node.replaces !== null;
}

/** Whether the node leaves and another takes its slot, without a person's cordon or drain. */
export function isReplaced({ phase, cordon, order }: Node): boolean {
  if (phase.kind !== "draining" && phase.kind !== "terminating") return false;
  if (cordon.human !== null || order?.goal === "drain") return false;
  const { purpose } = phase;
  return purpose === "replace" || purpose === "lost" || purpose === "failed" || purpose === "lemon";
}

/**
 * Slots that are empty between a failed node and its replacement. They count as out of service, or
 * each replacement would free a budget. At most as many as the pool lacks of its wanted size.
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
