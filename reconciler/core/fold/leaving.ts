/**
 * Node objects that no longer belong to a node: a durable fact for each says that Navarch's mark,
 * taints, conditions and labels are still to be removed. Pure except for the unit of work.
 */
import type { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import { type Fact, factsOf } from "../../../schema/safety.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import { bearsMarks } from "../kubernetes/mark.ts";
import type { KubeNode } from "../kubernetes/object.ts";
import { nodeEvent } from "../event-draft.ts";

/** An object that could not be cleared within this time is left to a person. */
const OWED_MS_MAX = 7 * 86_400_000;

/** Ends the match between a node and its object. */
export function leave(node: Node, at: number, work: UnitOfWork): void {
  const { id, pool, kube } = node;
  if (kube === null || kube.absentSince !== null) return;
  const { name, uid } = kube;
  work.putFact({ kind: "leaving", uid, name, node: id, pool, at });
  const what = `Node ${name} is no longer matched to it`;
  const message = `${what}: Navarch removes its marks from that Node`;
  work.tell([nodeEvent(node, at, "kube.left", message)]);
}

/** Ends the matches of removed records; the object of a gone machine is deleted elsewhere. */
export function foldRemoved(removed: Iterable<NodeId>, now: number, work: UnitOfWork): void {
  for (const id of removed) {
    const node = work.node(id);
    if (node !== null && node.phase.kind !== "gone") leave(node, now, work);
  }
}

/** Drops the facts of objects that are clear, deleted or matched. `objects` is a complete list. */
export function foldLeaving(
  facts: ReadonlyMap<string, Fact>,
  objects: readonly KubeNode[],
  now: number,
  work: UnitOfWork,
): void {
  const leaving = factsOf(facts, "leaving");
  if (leaving.length === 0) return;
  const byUid = new Map(objects.map((object) => [object.uid, object]));
  const bound = new Set<string>();
  for (const id of work.nodeIds()) {
    const node = work.node(id);
    if (node?.kube != null && node.kube.absentSince === null) bound.add(node.kube.uid);
  }
  for (const { uid, at } of leaving) {
    const object = byUid.get(uid);
    const over = now - at >= OWED_MS_MAX && object?.own !== true;
    if (object === undefined || bound.has(uid) || !bearsMarks(object) || over) {
      work.dropFact(`leaving:${uid}`);
    }
  }
}
