/**
 * The desired drain of one node's pods, sent by every activation. The drain itself is a phase of
 * the stored node, so nothing here has to survive a restart.
 */
import type { NodeId, PoolName } from "../../../schema/id.ts";

export type DesiredDrain = {
  node: NodeId;
  pool: PoolName | null;
  /** The Node object's name, and the UID that it must still have. */
  name: string;
  uid: string;
  /** For people: why the node is drained. */
  why: string;
  /** Wall milliseconds: begin and deadline of the drain (0 = no limit). */
  since: number;
  deadlineAt: number;
  /** −1 = each pod's own. */
  gracePeriodMs: number;
  /** Pods that no controller owns are evicted too. */
  force: boolean;
  ignoreDaemonsets: boolean;
  deleteEmptydirData: boolean;
  /** `wait` = no pod is evicted before the deadline. */
  mode: "evict" | "wait";
  /** Remaining pods are deleted shortly before the deadline, because the node ends then. */
  deleteAtDeadline: boolean;
  /** A person ordered it, so `navarch.dev/hold` on the Node does not stop it. */
  ordered: boolean;
  /** No kubelet answers: the shortest grace period, without waiting for pods to be gone. */
  unreachable: boolean;
  /** Why no pod may be evicted now; `null` = continue. */
  paused: string | null;
  /** Its Node object was removed: the cluster ends its pods, and the deadline does not wait. */
  orphaned?: boolean;
};
