/** What a node keeps about Navarch's mark on its Node object after a call was answered. Pure. */
import type { RefusalCause } from "../../../schema/kube-past.ts";
import type { KubeFact, Node } from "../../../schema/node.ts";
import { sayOutcome } from "../say/outcome.ts";

const MESSAGE_CHARS_MAX = 600;
/** Messages that differ with each attempt, for example by a timestamp, are recorded this often. */
const CHANGES_MAX = 32;

/** Whether the mark was on the Node object until now; annotations may be gone already. */
export function mayBeMarked({ kube }: Node): boolean {
  return kube === null || kube.isolatedUid === kube.uid;
}

/** The fact after a successful call; an answer about another object proves nothing here. */
export function markedOn({ kube }: Node, uid: string | null): Node["kube"] {
  if (kube === null) return null;
  const rested = { restUntil: 0, refusals: 0, refusal: null };
  if (uid !== kube.uid) {
    const { noted: _, ...rest } = kube;
    return { ...rest, ...rested, isolatedUid: uid, own: false };
  }
  return { ...kube, ...rested, isolatedUid: uid, own: true, unschedulable: true };
}

/** The fact after the API server refused the call. */
export function refuseMark(
  kube: KubeFact,
  what: string,
  { message, cause }: MarkRefusal,
  now: number,
): KubeFact {
  const since = kube.refusal?.what === what ? kube.refusal.since : now;
  const kept = message.slice(0, MESSAGE_CHARS_MAX);
  const by = cause === undefined ? {} : { cause };
  const refusal = { what, message: kept, ...by, since, at: now };
  return { ...kube, refusals: kube.refusals + 1, refusal };
}

export type MarkRefusal = { message: string; cause?: RefusalCause | undefined };

/** Whether to record a refusal: after each power of two attempts, and when its reason changes. */
export function isNewRefusal(kube: KubeFact, what: string, message: string): boolean {
  const { refusals, refusal } = kube;
  const isOther = refusal?.what !== what || refusal.message !== message.slice(0, MESSAGE_CHARS_MAX);
  return ((refusals + 1) & refusals) === 0 || (isOther && refusals < CHANGES_MAX);
}

export const markRefused = ({ name }: KubeFact, what: string, said: string): string =>
  sayOutcome({ code: "kube_refused", what, node: name, said });
