/**
 * Whether a pod is work that somebody would miss: what a drain leaves alone, and what has ended, is
 * none. Pure.
 */
import type { KubePod } from "../core/kubernetes/object.ts";

export function isWorkload(pod: KubePod): boolean {
  if (pod.mirror || pod.phase === "Succeeded" || pod.phase === "Failed") return false;
  return pod.controller?.kind !== "DaemonSet";
}
