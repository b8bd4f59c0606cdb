/**
 * What is observed of AgentPools, their pods and their agents, and the port to the cluster that
 * holds them. Stored are only workers and claims (`schema/agentpool.ts`). Types.
 */
import type { BlockReason, ConditionType, WorkerState } from "../../../schema/agentpool.ts";
import type { Worker } from "../../../schema/agentpool.ts";

/** `spec.autoscaler` with its defaults. */
export type PoolScaler = {
  min: number;
  max: number;
  minIdle: number;
  maxIdle: number;
  /** Milliseconds. */
  decayMs: number;
  /** Milliseconds; 0 = never. */
  killUnknownMs: number;
  slots: number;
};

export type AgentPool = {
  /** `NAMESPACE/NAME`. */
  key: string;
  namespace: string;
  name: string;
  uid: string;
  resourceVersion: string;
  generation: number;
  /** It has a `deletionTimestamp`; our finalizer holds it until the last worker is gone. */
  isDeleting: boolean;
  hasFinalizer: boolean;
  /** `navarch.dev/delete-policy: Drain`: its deletion waits for claims. */
  drainsOnDelete: boolean;
  /** `navarch.dev/recycle: OnIdle`. */
  recycles: boolean;
  /** `navarch.dev/adopt: "true"`: pods that match the template's labels and have no owner. */
  adopts: boolean;
  /** `navarch.dev/pending-timeout`. Milliseconds. */
  pendingTimeoutMs: number;
  /** `null`: static, nothing is created or removed. */
  scaler: PoolScaler | null;
  /** `spec.template` as it was read, a Pod. */
  template: Readonly<Record<string, unknown>>;
  /** Broken rules, each with its field; nothing is created while there is one. */
  problems: readonly string[];
};

/** Why a pod does not run. `unschedulable` waits for room, the others for a person. */
export type PodTrouble = {
  /** `mount`: its volumes or network are not set up, as in every pod for some seconds. */
  kind: "unschedulable" | "image" | "config" | "mount";
  message: string;
};

export type WorkerPod = {
  name: string;
  namespace: string;
  uid: string;
  /** UID of the AgentPool that controls it; `null` = none does. */
  ownerUid: string | null;
  labels: Readonly<Record<string, string>>;
  /** `navarch.dev/agentpool-generation`; `null` = not ours. */
  generation: number | null;
  phase: "Pending" | "Running" | "Succeeded" | "Failed" | "Unknown";
  /** It has a `deletionTimestamp`. */
  isDeleting: boolean;
  /** By the API server's clock. */
  createdAt: number;
  nodeName: string | null;
  trouble: PodTrouble | null;
};

/** What this process has heard of a worker's agent since it started. */
export type AgentSight = {
  /** A report came since this process started. */
  isHeard: boolean;
  /** Its heartbeats stopped for longer than the timeout. */
  isSilent: boolean;
  /** A definitive, unhealthy verdict. */
  isFatal: boolean;
  slots: number | null;
  stop: "no" | "busy" | "stopped";
  /** Keys of its file that it accepted without effect. */
  ignored: readonly string[];
};

export type PodAnswer =
  /** `uid` of the pod, also of one that exists already; `unknown`: fields that the server drops. */
  | { kind: "ok"; uid: string; unknown?: string }
  | { kind: "refused"; reason: BlockReason; message: string }
  /** It may have been done. */
  | { kind: "lost"; message: string };

export type DeleteAnswer =
  /** Accepted, or no pod of this UID is there. */
  { kind: "ok" } | { kind: "refused" | "lost"; message: string };

export type Condition = {
  type: ConditionType;
  status: "True" | "False";
  reason: string;
  message: string;
};

/** Without `observedGeneration` and instants, which the writer adds. */
export type PoolStatus = {
  size: number;
  idleSlots: number;
  queuedClaims: number;
  workers: Readonly<Partial<Record<WorkerState, number>>>;
  effectiveMaxIdle: number;
  lastAllocationError: { reason: BlockReason; message: string; at: number } | null;
  conditions: readonly Condition[];
};

export type PoolEvent = {
  type: "Normal" | "Warning";
  /** `Created`, `Deleted`, `ScaleUpBlocked` … */
  reason: string;
  message: string;
};

/** A copy of one collection, over one or more namespaces that are read each by itself. */
export type Copy<T> = {
  version: number;
  /** A list of at least one namespace was complete. */
  isKnown: boolean;
  /** Why none of it is current; `null` = some of it is. */
  dark: string | null;
  /** Namespaces whose part is not current, and why. Empty where all are read as one. */
  darkIn: ReadonlyMap<string, string>;
  list: readonly T[];
};

/** The cluster that holds AgentPools and their pods. No call rejects. */
export type PoolCluster = {
  pools(): Copy<AgentPool>;
  /** Pods that an AgentPool controls or that carry `navarch.dev/agentpool`, and adoptable ones. */
  pods(): Copy<WorkerPod>;
  /** Creates the worker's pod by its name; the pod that is there already counts as created. */
  create(pool: AgentPool, worker: Pick<Worker, "name" | "generation">): Promise<PodAnswer>;
  /** Dry run of the template. */
  check(pool: AgentPool): Promise<PodAnswer>;
  /** Deletes the pod of this UID and no other. */
  delete(pod: Pick<WorkerPod, "namespace" | "name" | "uid">): Promise<DeleteAnswer>;
  /** The newest wins; written at most once a second for each pool, and only if it changed. */
  show(pool: AgentPool, status: PoolStatus): void;
  tell(pool: AgentPool, event: PoolEvent): void;
  /** Adds or removes our finalizer, of this UID and version. */
  hold(pool: AgentPool, isHeld: boolean): Promise<DeleteAnswer>;
  start(wakeUp: () => void): void;
  stop(): void;
};
