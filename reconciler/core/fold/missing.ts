/**
 * A Node object that stays away from a healthy machine, folded: people are told once. Pure.
 */
import type { EventDraft } from "../../../schema/event.ts";
import type { Node } from "../../../schema/node.ts";
import { missingNodeOf, sayMissing } from "../safety/missing-node.ts";
import { nodeEvent } from "../told-event.ts";

/**
 * `null` = not now. `patienceMs`: as long as a new machine may take to join, since a kubelet that
 * restarts registers again within it.
 */
export function foldMissing(
  node: Node,
  patienceMs: number,
  now: number,
): { node: Node; event: EventDraft } | null {
  const { kube } = node;
  const missing = missingNodeOf(node);
  if (kube === null || missing === null || kube.missedAt !== undefined) return null;
  if (now - missing.since < patienceMs) return null;
  const event = nodeEvent(node, now, "kube.lost", sayMissing(node, missing));
  return { node: { ...node, kube: { ...kube, missedAt: now } }, event };
}
