/**
 * What the reconciler wants of one node's pods, told again by every activation: the drain itself is
 * a phase of the node in the store, so nothing here has to survive a restart.
 */
import type { NodeId, PoolName } from "../../../schema/id.ts";

export type DesiredDrain = {
  node: NodeId;
  pool: PoolName | null;
  /** The Node object, by name and by the UID that must still be its own. */
  name: string;
  uid: string;
  /** For people: why the node is drained. */
  why: string;
  /** Wall milliseconds: when the drain began, and by when it must be over (0 = no limit). */
  since: number;
  deadlineAt: number;
  /** −1 = each pod's own. */
  gracePeriodMs: number;
  /** Pods that no controller owns are evicted too. */
  force: boolean;
  ignoreDaemonsets: boolean;
  deleteEmptydirData: boolean;
  /** `wait` = nothing is asked to leave before the deadline. */
  mode: "evict" | "wait";
  /** What is left shortly before the deadline is deleted: the node ends then in any case. */
  deleteAtDeadline: boolean;
  /** A person ordered it, and `navarch.dev/hold` on the Node does not stop what they ordered. */
  ordered: boolean;
  /** No kubelet answers: the shortest grace period, and nobody waits for a pod to be gone. */
  unreachable: boolean;
  /** Why nothing may be asked of anybody now; `null` = go on. */
  paused: string | null;
  /**
   * Its Node object was taken away: nobody is asked, because the cluster itself ends what was bound
   * to it, and the deadline does not wait for that.
   */
  orphaned?: boolean;
};
