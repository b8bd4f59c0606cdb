/** What is known of the product's mark on a Node object once a call about it was answered. Pure. */
import type { Node } from "../../../schema/node.ts";

/**
 * Whether the product's mark was on the Node object until now. Whatever else of the product is on
 * it, such as annotations, may be gone already when the answer of what took it away comes.
 */
export function mayBeMarked({ kube }: Node): boolean {
  return kube === null || kube.isolatedUid === kube.uid;
}

/** The object that bears the product's mark now; an answer about another object says nothing. */
export function markedOn({ kube }: Node, uid: string | null): Node["kube"] {
  if (kube === null) return null;
  const rested = { restUntil: 0, refusals: 0, refusal: null };
  if (uid !== kube.uid) {
    const { noted: _, ...rest } = kube;
    return { ...rest, ...rested, isolatedUid: uid, own: false };
  }
  return { ...kube, ...rested, isolatedUid: uid, own: true, unschedulable: true };
}
