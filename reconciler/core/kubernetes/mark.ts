/**
 * What a Node object shows of our mark, and what a change of it means to the reconciler. Pure.
 */
import type { Fence } from "../provider.ts";
import { misspeltHolds } from "./hold.ts";
import {
  ANNOTATION,
  CONDITION_TYPES,
  FLEET_LABEL,
  type KubeNode,
  POOL_LABEL,
  TAINT,
} from "./object.ts";

/**
 * What the annotation of our mark calls the repair; a person's cordon has none and is told apart by
 * the fence.
 */
export function sessionOf({ sessionId, fence, nodeId }: Fence): string {
  return sessionId ?? `${nodeId}.order-${fence}`;
}

/** What its Ready condition says unless that is `True`; a Node without one is not ready. */
export function notReadyOf({ conditions }: KubeNode): string | null {
  const ready = conditions.find(({ type }) => type === "Ready");
  if (ready === undefined) return "no kubelet has spoken";
  if (ready.status === "True") return null;
  return ready.reason === "" ? ready.status : `${ready.status} (${ready.reason})`;
}

/** Its kubelet is silent, as the cluster says: a silent agent alone is one witness. */
export const isAdrift = (node: KubeNode | undefined): boolean =>
  node?.conditions.some(({ type, status }) => type === "Ready" && status === "Unknown") === true;

/** Something of ours is on it, whoever it belongs to. */
export function bearsMarks({ own, annotations, labels, taints, conditions }: KubeNode): boolean {
  if (own || annotations[ANNOTATION.session] !== undefined) return true;
  if (labels[POOL_LABEL] !== undefined || labels[FLEET_LABEL] !== undefined) return true;
  const keys: readonly string[] = [TAINT.unhealthy.key, TAINT.draining.key];
  if (taints.some(({ key }) => keys.includes(key))) return true;
  return conditions.some(({ type }) => CONDITION_TYPES.some((ours) => ours === type));
}

/** A change that the fold looks at: a node's heartbeat is none. */
export function isNews(before: KubeNode | null, after: KubeNode | null): boolean {
  if (before === null || after === null) return true;
  return (
    before.uid !== after.uid ||
    before.unschedulable !== after.unschedulable ||
    before.own !== after.own ||
    before.providerId !== after.providerId ||
    before.systemUuid !== after.systemUuid ||
    before.bootId !== after.bootId ||
    before.others.join() !== after.others.join() ||
    before.gpus !== after.gpus ||
    before.labels[FLEET_LABEL] !== after.labels[FLEET_LABEL] ||
    before.labels[ANNOTATION.hold] !== after.labels[ANNOTATION.hold] ||
    misspeltHolds(before.labels).join() !== misspeltHolds(after.labels).join() ||
    before.ips.join() !== after.ips.join() ||
    notReadyOf(before) !== notReadyOf(after) ||
    JSON.stringify(before.annotations) !== JSON.stringify(after.annotations)
  );
}

/** A change of what tells objects apart. */
export function isOther(before: KubeNode | null, after: KubeNode | null): boolean {
  if (before === null || after === null) return true;
  return (
    before.uid !== after.uid ||
    before.providerId !== after.providerId ||
    before.systemUuid !== after.systemUuid ||
    before.labels[FLEET_LABEL] !== after.labels[FLEET_LABEL] ||
    before.ips.join() !== after.ips.join()
  );
}
