/**
 * An uncordon by others, folded: who did it, whether it is done again and again, and the reminder
 * of broken hardware that takes work because of it. Pure.
 */
import type { EventDraft, EventKind } from "../../schema/event.ts";
import { UNCORDONS_MAX } from "../../schema/kube-past.ts";
import type { KubeFact, Node } from "../../schema/node.ts";
import { isUnbought } from "../fleet.ts";
import { brokenBecause, isBrokenInService, loopOf, sayLoop } from "../safety/uncordoned.ts";
import type { KubeNode } from "../scheduler/kubernetes/object.ts";

type Tell = (kind: EventKind, message: string, actor?: string) => void;

/** The fact with this uncordon in it. Says so if it is one of many. */
export function noteUncordon(kube: KubeFact, object: KubeNode, tell: Tell, now: number): KubeFact {
  const by = object.touched === undefined ? null : object.touched.join(" or ");
  const uncordons = [...(kube.uncordons ?? []), { at: now, by }].slice(-UNCORDONS_MAX);
  const next = { ...kube, uncordons };
  const loop = loopOf(uncordons, now);
  if (loop !== null) tell("kube.uncordon_loop", sayLoop(next, loop), "human");
  return next;
}

export function sayUncordon(kube: KubeFact | null): string {
  return `uncordoned in Kubernetes by ${kube?.uncordons?.at(-1)?.by ?? "hand"}`;
}

export function sayBroken(node: Node): string {
  const { id, kube } = node;
  const who = sayUncordon(kube);
  const name = kube?.name ?? id;
  const what = `Node ${name} was ${who} although its hardware is broken: ${brokenBecause(node)}`;
  const replace = `Run \`navarch replace ${id}\`, or cordon it again`;
  const next = isUnbought(node) ? "Cordon it again until it is repaired" : replace;
  return `${what}; work that lands there fails. ${next}`;
}

/** People are reminded; `null` = not now. `reviewMs` 0 = never. */
export function foldReview(
  node: Node,
  reviewMs: number,
  now: number,
): { node: Node; event: EventDraft } | null {
  const { waiver } = node;
  if (waiver === null || reviewMs === 0 || !isBrokenInService(node)) return null;
  if (now - (waiver.remindedAt ?? waiver.at) < reviewMs) return null;
  const event: EventDraft = {
    at: now,
    kind: "kube.uncordoned_broken",
    node: node.id,
    pool: node.pool,
    session: node.session?.id ?? null,
    actor: "navarch",
    message: `reminder: ${sayBroken(node)}`,
  };
  return { node: { ...node, waiver: { ...waiver, remindedAt: now } }, event };
}
