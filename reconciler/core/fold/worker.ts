/**
 * The record of a worker pod: which report makes it, and when it goes. Pure except for the unit of
 * work. Its AgentPool decides everything else about it (`agentpool/`).
 */
import type { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import { nodeEvent } from "../event-draft.ts";
import { isUnbought } from "../fleet.ts";
import type { InboxEntry } from "../store.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import { unmanagedNode } from "./new-node.ts";

/** Evidence of an earlier pod of the same name says nothing about this one. */
export function senderOf(known: Node | null, { node, origin }: InboxEntry, at: number): Node {
  const uid = origin?.worker?.uid ?? known?.worker?.uid;
  const isOther = known !== null && known.worker !== null && known.worker.uid !== uid;
  return known === null || isOther ? unmanagedNode(node, at) : known;
}

/** What a worker's report changes; its pool decides whether it serves, so nothing is verified. */
export function foldWorker(node: Node, { origin }: InboxEntry, at: number): Partial<Node> {
  const worker = origin?.worker ?? null;
  if (worker === null || !isUnbought(node)) return {};
  return node.phase.kind === "verifying"
    ? { worker, phase: { kind: "serving", since: at } }
    : { worker };
}

/** Removes the record of the pod with this UID, which is gone; another pod's record stays. */
export function removeWorker(work: UnitOfWork, id: NodeId, uid: string, now: number): void {
  const node = work.node(id);
  if (node?.worker?.uid !== uid) return;
  work.change.removedNodes.push(id);
  const message = `its pod is gone, and its record with it (AgentPool ${node.worker.pool})`;
  work.tell([nodeEvent(node, now, "node.forgotten", message)]);
}
