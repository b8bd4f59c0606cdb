/**
 * The port to what places work on nodes. Every call carries a fence, and an adapter whose target
 * cannot refuse a stale one says in its header how staleness is bounded (law 5).
 */
import type { DrainSight } from "../fleet.ts";
import type { PoolConfig } from "../../../schema/config.ts";
import type { RefusalCause } from "../../../schema/kube-past.ts";
import type { NodeId, PoolName } from "../../../schema/id.ts";
import type { KubeSight, QueueSight } from "../fleet.ts";
import type { Fence } from "../provider.ts";
import type { Change } from "../store.ts";
import type { DrainPlan } from "./drain-plan.ts";
import type { NodeResources } from "./node-resource.ts";
import type { KubeNode } from "./object.ts";
import type { DesiredState } from "./desired-state.ts";
import type { PodPlace } from "../slurm/pod-set.ts";

export type SchedulerAnswer =
  /** `on`: the object on which the mark was read back. */
  | { kind: "ok"; on?: string | null; message?: string | null }
  /** The target proved that it did nothing. */
  | { kind: "refused"; message: string; cause?: RefusalCause }
  | { kind: "ambiguous"; message: string };

export type Scheduler = {
  readonly name: string;
  /**
   * Marks the node unschedulable, as the product. Idempotent. `again`: although a person has lifted
   * the mark of this session.
   */
  cordon(node: string, why: string, fence: Fence, again?: boolean): Promise<SchedulerAnswer>;
  /** Lifts the product's own mark; never another owner's. Idempotent. */
  uncordon(node: string, why: string, fence: Fence): Promise<SchedulerAnswer>;
  /** Asks work to leave; returns when the asking has begun, not when the node is empty. */
  drain(
    node: string,
    options: { gracePeriodMs: number; force: boolean; deadlineAt: number },
    fence: Fence,
  ): Promise<SchedulerAnswer>;
  /** What is left, as the scheduler sees it now; `null` = this scheduler cannot tell. */
  left(node: string): DrainSight | null;
  /** The part of a scheduler that has objects of its own, which people change too. */
  readonly cluster: SchedulerCluster | null;
};

/** What tells which pods wait for the pool's Nodes. */
export type QueuePool = Pick<PoolConfig, "name" | "labels" | "taints">;

/** Nothing here waits for the outside: it tells what is known, and takes what is wanted. */
export type SchedulerCluster = {
  /**
   * Every Node object that is known, a number that grows with each change of them, and one that
   * grows with what tells them apart.
   */
  objects(): {
    version: number;
    identity: number;
    known: boolean;
    list: readonly KubeNode[];
    /** On which Node the pod of a DaemonSet runs that has an address. */
    hosts?: ReadonlyMap<string, string>;
  };
  /** Why its word cannot be had now; `null` while it is fresh. */
  dark(): string | null;
  sight(ambiguous: KubeSight["ambiguous"]): KubeSight;
  /** `pools`: all of them, since a pod may wait for the Nodes of one without naming it. */
  queue(pool: PoolName, pools: readonly QueuePool[]): QueueSight | null;
  /** Requests by Node for the metrics; `null` unless they are enabled and it looks. */
  resources(): NodeResources | null;
  /** Whether what is left on the node is told by its object: it was in the last `tend`. */
  knows(node: NodeId): boolean;
  /** Why the object with this UID is still there though its machine is gone; `null` = unknown. */
  stays(uid: string): string | null;
  /** Told by every activation of the leader, after its plan is durable. */
  tend(desired: DesiredState): void;
  /** Called after each committed change, to write Events on the object. */
  tell(change: Change): void;
  /** Begins to look, with a hint whenever something changed; ends and forgets. */
  start(wakeUp: () => void): void;
  stop(): void;
  /** What draining the node would ask of each pod. */
  plan(node: { id: NodeId; name: string }, options: PlanOptions): Promise<PlanAnswer>;
  status(): ClusterStatus;
  /** Lets a machine join; `null` = it cannot be done here. */
  join: Join | null;
  /** On which Node the pod runs that a service-account token was made for. Never rejects. */
  review(this: void, token: string): Promise<PodReview>;
  /**
   * Permissions that are missing, each as the rule that would grant it. `joins`: with those that
   * only `join` needs; `pods`: with those for this StatefulSet.
   */
  missing(
    joins?: boolean,
    pods?: PodPlace | null,
  ): Promise<MissingRules | { kind: "failed"; message: string }>;
};

export type PlanOptions = {
  force: boolean;
  ignoreDaemonsets: boolean;
  deleteEmptydirData: boolean;
};
export type PlanAnswer = { kind: "ok"; plan: DrainPlan } | { kind: "failed"; message: string };

/** For people: what the product knows of the cluster and is doing there. */
export type ClusterStatus = {
  server: string;
  nodes: number;
  pods: number;
  /** Age of the oldest of what is known, in milliseconds; `null` = nothing is known yet. */
  ageMs: number | null;
  writesPerSecond: number;
  draining: number;
  /** What the product may not do there, as the server said it. */
  forbidden: string[];
  doubts: string[];
  /** Drains that wait for something outside, a line each. */
  blocked: string[];
  /** Nodes on which conditions, labels or taints could not be written, each with the reason. */
  unshown: string[];
  /** Pods with a hold that has no effect, a line each. */
  ignoredHolds: readonly string[];
};

export type JoinRequest = {
  pool: PoolName | null;
  node: NodeId;
  /** How long the set-up may take at most. */
  lastsMs: number;
};

export type JoinPass = {
  kind: "ok";
  server: string;
  caHash: string;
  /** A secret. */
  token: string;
  /** Takes the token away, as far as that is possible. Never rejects. */
  end(): Promise<void>;
};

/** Never rejects. */
export type Join = (desired: JoinRequest) => Promise<JoinPass | Hindered>;

/** Why nobody can join, as a sentence for people. */
export type Hindered = { kind: "hindered"; message: string };

export type PodReview =
  | { kind: "proven"; pod: { node: string; uid: string } }
  /** The server's own word, or what it says of the token, is a no. */
  | { kind: "refused"; problem: string }
  /** The server did not say. */
  | { kind: "unknown"; problem: string };

/** What is missing, each as a person looks for it and with its use, of how many that are needed. */
export type MissingRules = {
  kind: "ok";
  rules: string[];
  checked: number;
  /** Who lacks them, as the server calls the control plane; `null` = unknown, or none lacks. */
  account: string | null;
};
