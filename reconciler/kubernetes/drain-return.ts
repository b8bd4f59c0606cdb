/**
 * Detects pods that return to a draining node: their controller tolerates every taint or binds them
 * itself. Evicting them would never end, so they are left and reported
 * (docs/reference/kubernetes.md#drain). Pure; memory of one drain in one process.
 */
import type { KubePod } from "../core/kubernetes/object.ts";

/** Late pods of one owner that must leave first: one bound just before the cordon is late too. */
const RETURNS_MAX = 3;

export class Returns {
  /** Pods to leave alone. */
  readonly uids = new Set<string>();
  private readonly late = new Set<string>();
  /** By UID of the owner. */
  private readonly gone = new Map<string, number>();
  private readonly lateGone = new Map<string, number>();

  /** Takes two consecutive lists; `before: null`: the first one. */
  takeList(before: ReadonlyMap<string, KubePod> | null, now: ReadonlyMap<string, KubePod>): void {
    if (before === null) return;
    for (const pod of before.values()) {
      const owner = pod.controller?.uid;
      if (owner === undefined || now.has(pod.uid)) continue;
      count(this.gone, owner);
      if (this.late.delete(pod.uid)) count(this.lateGone, owner);
      this.uids.delete(pod.uid);
    }
    for (const pod of now.values()) {
      const owner = pod.controller?.uid;
      if (owner === undefined || before.has(pod.uid)) continue;
      this.late.add(pod.uid);
      const isSure = toleratesAll(pod) && (this.gone.get(owner) ?? 0) > 0;
      if (isSure || (this.lateGone.get(owner) ?? 0) >= RETURNS_MAX) this.uids.add(pod.uid);
    }
  }
}

/** An empty key with `Exists` matches every taint (Kubernetes API, `Toleration`). */
function toleratesAll({ tolerations }: KubePod): boolean {
  return tolerations.some(
    ({ key, operator, effect }) =>
      key === null && operator === "Exists" && (effect === null || effect === "NoSchedule"),
  );
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
