/**
 * What the invariants are judged by: an observation of the world. Every part of it comes from where
 * the truth is: calls as they arrived at the cloud and the scheduler, rows as the store committed
 * them, the cloud's own instances, the scheduler's own marks. What the product believes about
 * itself is looked at only where an invariant is about it: its plan, and whether it is blind.
 */
import type { Config } from "../../schema/config.ts";
import type { InstanceId, NodeId, OperationId, PoolName } from "../../schema/id.ts";
import type { Node, PoolState } from "../../schema/node.ts";
import type { Operation, OperationKind } from "../../schema/operation.ts";
import type { Plan } from "../../reconciler/core/plan.ts";
import type { CreateRequest, ProviderClass } from "../../reconciler/core/provider.ts";
import type { Change } from "../../reconciler/core/store.ts";
import type { SlurmWrite } from "./slurm/write.ts";

/** One breach, as it is printed: which law, and what was seen. */
export type Violation = { id: string; message: string };

/** The rows as committed; an operation stays after it closed. */
export type Rows = {
  nodes: Map<NodeId, Node>;
  pools: Map<PoolName, PoolState>;
  /** Open ones. */
  operations: Map<OperationId, Operation>;
  /** Closed ones of this database, with the state they closed in. */
  closed: Map<OperationId, Operation["state"]>;
};

/** A mutating call at the moment of its first byte. */
export type Call = {
  /** Wall milliseconds of the control plane. */
  at: number;
  kind: OperationKind;
  node: string;
  fence: number;
  session: string | null;
  provider: string | null;
  request: CreateRequest | null;
  instanceId: string | null;
  /** The committed row that this call carries out, and its node, as they were at that moment. */
  operation: Operation | null;
  subject: Node | null;
  /** Why the product could not trust its eyes, by its newest sight. */
  blind: readonly string[];
  /** The instance that is to be ended, by the cloud's own record; `null` = there is none. */
  target: Live | null;
  /** What slurmctld says of that machine; `null` = no slurmd of it is registered. */
  slurm: SlurmWork | null;
};

/** The work of Slurm on one machine, by slurmctld. */
export type SlurmWork = {
  nodeName: string;
  /** Jobs that run, or whose epilog does. */
  jobs: readonly string[];
  /** Since a list of jobs last reached the running process; infinite = none has. */
  darkMs: number;
  /** Since a person drained, reserved or rebooted it there; `null` = nobody did. */
  heldMs: number | null;
};

/** One transaction, with what its rows were before. */
export type Commit = {
  at: number;
  change: Change;
  nodesBefore: ReadonlyMap<NodeId, Node>;
  poolsBefore: ReadonlyMap<PoolName, PoolState>;
  operationsBefore: ReadonlyMap<OperationId, Operation>;
  /** Every node after it. The map lives on: it is so only at the moment of the commit. */
  nodes: ReadonlyMap<NodeId, Node>;
  /** Why the control plane was blind by its newest sight. */
  blind: readonly string[];
};

/** An instance that the cloud bills. */
export type Live = {
  id: InstanceId;
  name: string;
  token: string;
  /** `<pool>/<slot>`, by its tags. */
  slot: string;
  node: string;
  fleet: string | null;
  state: string;
  askedAt: number;
  landedAt: number;
  pricePerHour: number | null;
  /** Created by another party, whatever its tags are. */
  foreign: boolean;
  /** Its tags name nothing of ours, although they carry the fleet's mark. */
  decoy: boolean;
  /** Complete listings in a row without it, and when the first of them was answered. */
  absentListings: number;
  absentAt: number | null;
  /** The cloud reported it gone: terminated, or absent twice, a settle time apart. */
  reportedGone: boolean;
};

/** A write that reached the API server, with what was so at that moment. */
export type KubeCall = {
  /** `delete nodes`, `create eviction`, `patch nodes`. */
  what: string;
  /** Of the object. */
  name: string;
  /** Its precondition. */
  uid: string | null;
  /** What it says itself; `null` = the pod's own. */
  graceSeconds: number | null;
  /** Marks the Node as out of service, which gives up its pods. */
  outOfService: boolean;
  /** Marks the Node unschedulable. */
  cordons: boolean;
  /** The cloud bills the machine under the object. */
  isLive: boolean;
  /** Since the machine's kubelet last renewed its lease; `null` = there is none. */
  leaseAgeMs: number | null;
};

export type CloudFacts = {
  class: ProviderClass;
  fleetId: string;
  settleMs: number;
  /** Longest time between two listings of a control plane that runs. */
  sweepMs: number;
  live: ReadonlyMap<InstanceId, Live>;
  /** Grows with every change of `live`. */
  version: number;
};

export type Observation = {
  /** The cloud's clock, which never jumps; milliseconds. */
  now: number;
  /** The control plane's wall clock. */
  wall: number;
  config: Config;
  rows: Rows;
  /** Since the last observation. */
  calls: readonly Call[];
  commits: readonly Commit[];
  /** The database was lost since the last observation: every count restarts. */
  forgotten: boolean;
  cloud: CloudFacts;
  /** Writes to the cluster since the last observation; none where the fleet is in no cluster. */
  kube: readonly KubeCall[];
  /** Changes of nodes in Slurm since the last observation; none where the fleet is in none. */
  slurm: readonly SlurmWrite[];
  /** Nodes that the scheduler shows cordoned by the product; `null` = it is a real cluster's. */
  cordoned: ReadonlySet<string> | null;
  /** What the newest activation planned; `null` while no process runs or it has not rested. */
  plan: Plan | null;
  /** A process runs, sees, and its cloud tells the truth: what it does not know now, it should. */
  fair: boolean;
};

/** Looks at one observation after another, and remembers only what it saw. */
export type Checker = {
  id: string;
  /** Looks after every commit rather than after every step. */
  atCommit?: boolean;
  look(seen: Observation): Violation[];
};

export function slotOf(node: Node): string | null {
  return node.pool === null || node.slot === null ? null : `${node.pool}/${node.slot}`;
}
