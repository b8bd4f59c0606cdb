/** AgentPools and claims in the answers of the HTTP API. */
import type { BlockReason, ClaimState, ConditionType, LeavingCause } from "./agentpool.ts";
import type { WorkerState } from "./agentpool.ts";

/** Answer of `POST /v1/pools/:namespace/:pool/claims`, and of `GET` and `DELETE /v1/claims/:id`. */
export type ClaimView = {
  id: string;
  namespace: string;
  pool: string;
  label: string;
  /** Who asked for it. */
  by: string;
  state: ClaimState;
  /** `null` while it is queued, or if it never ran. */
  worker: string | null;
  slot: number | null;
  /** Place in the pool's queue, from 1; `null` if it is not queued. */
  position: number | null;
  /** Why it is queued. */
  because: string | null;
  created_at: string;
  placed_at: string | null;
  expires_at: string | null;
  ended_at: string | null;
};

export type AgentPoolWorkerView = {
  name: string;
  state: WorkerState;
  /** Of its agent; `null` until it joins. */
  node_id: string | null;
  claims: number;
  slots: number;
  /** `metadata.generation` of the pool whose template it has. */
  generation: number;
  created_at: string;
  joined_at: string | null;
  lost_since: string | null;
  leaving: { cause: LeavingCause; since: string; deleting: boolean } | null;
};

/** In the answers of `GET /v1/nodes`, for the agent of a worker pod. */
export type NodeWorkerView = {
  /** `NAMESPACE/NAME` of the AgentPool. */
  pool: string;
  /** `null`: its pool has no such worker any more, or this replica does not lead. */
  worker: AgentPoolWorkerView | null;
};

export type AgentPoolConditionView = {
  type: ConditionType;
  status: "True" | "False";
  reason: string;
  message: string;
};

/** One of `GET /v1/agentpools`. */
export type AgentPoolSummary = {
  namespace: string;
  name: string;
  /** `null` if it is not scaled. */
  min: number | null;
  max: number | null;
  size: number;
  /** Free slots less queued claims. */
  idle: number;
  queued: number;
  workers: Partial<Record<WorkerState, number>>;
  /** Reason of what keeps it from its size, such as `AtMax`; `null` if nothing does. */
  reason: string | null;
};

/** Answer of `GET /v1/agentpools/:namespace/:pool`. */
export type AgentPoolView = AgentPoolSummary & {
  uid: string;
  generation: number;
  deleting: boolean;
  autoscaler: {
    min_replicas: number;
    max_replicas: number;
    min_idle: number;
    max_idle: number;
    effective_max_idle: number;
    idle_decay_ms: number;
    kill_unknown_after_ms: number;
    slots_per_agent: number;
  } | null;
  last_allocation_error: { reason: BlockReason; message: string; at: string } | null;
  conditions: AgentPoolConditionView[];
  /** Why it does not grow, for people; empty if nothing keeps it from growing. */
  blockers: string[];
  worker_list: AgentPoolWorkerView[];
  /** Open ones, in the order of their arrival. */
  claims: ClaimView[];
};

/** A pool as upstream's `/rest/pool` shows it, with its namespace. */
export type RestPool = {
  name: string;
  namespace: string;
  description: string;
  autoscalerStatus: RestPoolStatus;
};

/** Empty and `null` while there is no error. */
export type RestPoolStatus = {
  lastAllocationError: string;
  lastAllocationErrorTime: string | null;
};
