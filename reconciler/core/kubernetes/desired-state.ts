/**
 * The desired state of the cluster's objects, as each activation of the leader sends it: which
 * object belongs to which node, what drains, what is shown, what is left over. Facts, never steps,
 * so it may be lost, late or repeated.
 */
import type { NodeId, PoolName } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { DesiredDrain } from "./desired-drain.ts";
import type { Taint } from "./object.ts";
import type { SaidWait } from "../plan.ts";

/** What a Node object shows about its node. */
export type ShownNode = {
  node: NodeId;
  pool: PoolName | null;
  name: string;
  uid: string;
  verdict: "unknown" | "healthy" | "degraded" | "unhealthy";
  phase: Node["phase"]["kind"];
  /** For people, bounded: the evidence against it. */
  because: string;
  session: string | null;
  /** Cordoned by Navarch or with `navarch cordon`. */
  cordoned: boolean;
  draining: boolean;
  labels: Record<string, string>;
  /** Of its pool. */
  taints: readonly Taint[];
  /** Names of its earlier objects, to which its pods may still be bound. */
  formerNames: readonly string[];
  /** Navarch bought its machine. */
  bought: boolean;
  /** Its mark is being written; a second write of the object would collide. */
  marking: boolean;
  /** Why nothing more is done about it now, as the plan states. */
  wait: ShownWait | null;
  /** An effect on it is in flight, so the plan has no entry for it. */
  busy: boolean;
  /** Kubernetes refuses its mark. */
  refused: boolean;
  onHold: boolean;
  /** Its drain ends at the deadline, whatever still runs there. */
  cutsOff: boolean;
  /** It serves with a fault, because a person uncordoned it. */
  calledOff: boolean;
};

export type ShownWait = Omit<SaidWait, "node" | "pool">;

export type EndedNode = { node: NodeId; pool: PoolName | null; name: string; uid: string };

/** The object was deleted while the machine lives; `name` is its former name. */
export type OrphanedNode = { node: NodeId; name: string };

export type DesiredState = {
  /** Name of this fleet, which distinguishes several installs in one cluster. */
  fleet: string;
  drains: DesiredDrain[];
  shown: ShownNode[];
  /** The instance is confirmed gone, the object still exists. */
  ended: EndedNode[];
  orphaned: OrphanedNode[];
  /** Objects that belong to no node any more; our fields on them are removed. */
  leaving: EndedNode[];
};
