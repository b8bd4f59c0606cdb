/**
 * Folds an uncordon by others: its author, repetitions, the cordon that resumes the cancelled
 * repair, and the reminder of broken hardware that nothing repairs. Pure.
 */
import type { EventDraft, EventKind } from "../../../schema/event.ts";
import { UNCORDONS_MAX } from "../../../schema/kube-past.ts";
import type { KubeFact, Node } from "../../../schema/node.ts";
import { isUnbought } from "../fleet.ts";
import {
  brokenBecause,
  BY_KUBERNETES,
  callOffs,
  isRepairCalledOff,
  loopOf,
  mayResume,
  sayLoop,
} from "../safety/uncordoned.ts";
import type { KubeNode } from "../kubernetes/object.ts";
import { nodeEvent } from "../event-draft.ts";
import { type CalledOff, type Resume, sayResume, sayUncordon } from "../say/uncordon.ts";

type Tell = (kind: EventKind, message: string, actor?: string) => void;

/** Adds this uncordon to the fact, and reports a loop. */
export function noteUncordon(kube: KubeFact, object: KubeNode, tell: Tell, now: number): KubeFact {
  const by = object.touched === undefined ? null : object.touched.join(" or ");
  const uncordons = [...(kube.uncordons ?? []), { at: now, by }].slice(-UNCORDONS_MAX);
  const next = { ...kube, uncordons };
  const loop = loopOf(uncordons, now);
  if (loop !== null) tell("kube.uncordon_loop", sayLoop(next, loop), "human");
  return next;
}

/** Who uncordoned it last; `null` = nobody is known. */
export const uncordonedBy = (kube: KubeFact | null): string | null =>
  kube?.uncordons?.at(-1)?.by ?? null;

export function sayBroken(node: Node): string {
  const { id, kube } = node;
  const who = sayUncordon(uncordonedBy(kube));
  const name = kube?.name ?? id;
  const what = `Node ${name} was ${who} although its hardware is broken: ${brokenBecause(node)}`;
  return `${what}; ${sayService(kube)}. ${sayResume(resumeOf(node))}`;
}

function sayService(kube: KubeFact | null): string {
  if (kube !== null && kube.absentSince !== null) return "its Node is missing now";
  if (kube?.unschedulable !== true) return "work that lands there fails";
  return `it is cordoned by ${kube.others.join(", ")} now, and nothing repairs it`;
}

/** How a person resumes a cancelled repair. */
export function resumeOf(node: Node): Resume {
  const { id, kube } = node;
  const order = isUnbought(node) ? `navarch drain ${id}` : `navarch replace ${id}`;
  if (!mayResume(node)) return { order, cordon: null, times: callOffs(node) };
  const isOpen = kube !== null && !kube.unschedulable && kube.absentSince === null;
  return { order, cordon: isOpen ? kube.name : null, times: null };
}

/** Why nothing repairs a node that was uncordoned in Kubernetes; `null` = another reason. */
export function calledOffAt({ kube, waiver }: Node): CalledOff | null {
  if (waiver?.by !== BY_KUBERNETES) return null;
  return { by: uncordonedBy(kube), at: waiver.at };
}

/**
 * Others cordoned the node: a repair that they cancelled before resumes under the usual limits.
 * `isNew`: this object was schedulable when it was last seen.
 */
export function foldCordon(
  node: Node,
  theirs: readonly string[],
  isNew: boolean,
): { message: string; waiver: Node["waiver"] } {
  const by = `cordoned in Kubernetes by ${theirs.join(", ")}`;
  // `navarch cordon` prevents a repair, whatever other cordons exist.
  if (node.waiver?.by !== BY_KUBERNETES || node.cordon.human !== null || !isNew) {
    return { message: `${by}: left unchanged`, waiver: node.waiver };
  }
  if (mayResume(node)) return { message: `${by}: its repair resumes`, waiver: null };
  return { message: `${by}: left unchanged. ${sayResume(resumeOf(node))}`, waiver: node.waiver };
}

/** The reminder of a cancelled repair; `null` = not now. `reviewMs` 0 = never. */
export function foldReview(
  node: Node,
  reviewMs: number,
  now: number,
): { node: Node; event: EventDraft } | null {
  const { waiver } = node;
  if (waiver === null || reviewMs === 0 || !isRepairCalledOff(node)) return null;
  if (now - (waiver.remindedAt ?? waiver.at) < reviewMs) return null;
  const event = nodeEvent(node, now, "kube.uncordoned_broken", `reminder: ${sayBroken(node)}`);
  return { node: { ...node, waiver: { ...waiver, remindedAt: now } }, event };
}
