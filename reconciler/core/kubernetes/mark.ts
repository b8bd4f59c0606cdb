/** Reads Navarch's marks on a Node object, and which of its changes matter. Pure. */
import type { Fence } from "../provider.ts";
import { deletersOf } from "./other-program.ts";
import { misspeltHolds } from "./hold.ts";
import {
  ANNOTATION,
  CONDITION_TYPES,
  FLEET_LABEL,
  type KubeNode,
  POOL_LABEL,
  TAINT,
} from "./object.ts";

/** The repair's name in our annotation; a person's cordon has no session and shows its fence. */
export function sessionOf({ sessionId, fence, nodeId }: Fence): string {
  return sessionId ?? `${nodeId}.order-${fence}`;
}

/** The Ready condition unless it is `True`, else `null`; a Node without one is not ready. */
export function notReadyOf({ conditions }: KubeNode): string | null {
  const ready = conditions.find(({ type }) => type === "Ready");
  if (ready === undefined) return "missing (no kubelet has reported)";
  if (ready.status === "True") return null;
  return ready.reason === "" ? ready.status : `${ready.status} (${ready.reason})`;
}

/** The cluster reports its kubelet as silent, the second witness beside a silent agent. */
export const isAdrift = (node: KubeNode | undefined): boolean =>
  node?.conditions.some(({ type, status }) => type === "Ready" && status === "Unknown") === true;

/** Whether the object has any mark of Navarch, of this fleet or another. */
export function bearsMarks({ own, annotations, labels, taints, conditions }: KubeNode): boolean {
  if (own || annotations[ANNOTATION.session] !== undefined) return true;
  if (annotations[ANNOTATION.taints] !== undefined) return true;
  if (labels[POOL_LABEL] !== undefined || labels[FLEET_LABEL] !== undefined) return true;
  return (
    taints.some(({ key }) => key === TAINT.unhealthy.key || key === TAINT.draining.key) ||
    conditions.some(({ type }) => CONDITION_TYPES.some((ours) => ours === type))
  );
}

/** Whether the fold reads the change; a heartbeat is none. */
export function isNews(before: KubeNode | null, after: KubeNode | null): boolean {
  if (before === null || after === null) return true;
  return (
    isOther(before, after) ||
    before.unschedulable !== after.unschedulable ||
    before.own !== after.own ||
    before.bootId !== after.bootId ||
    before.others.join() !== after.others.join() ||
    before.gpus !== after.gpus ||
    before.kept !== after.kept ||
    before.labels[ANNOTATION.hold] !== after.labels[ANNOTATION.hold] ||
    misspeltHolds(before.labels).join() !== misspeltHolds(after.labels).join() ||
    notReadyOf(before) !== notReadyOf(after) ||
    deletersOf(before).join() !== deletersOf(after).join() ||
    JSON.stringify(before.annotations) !== JSON.stringify(after.annotations)
  );
}

/** Whether the object's identity changed. */
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
