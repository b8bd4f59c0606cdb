/**
 * What the HTTP interface answers (`navarch/api.md` part B, `navarch/cli.md` §6): snake_case keys,
 * full enum names, RFC 3339 times. Types only, shared by the routes that print them and the
 * commands that read them; inside the product the life cycle is `Phase`, and these are its two
 * projections (B4).
 */
import type { WaitReason } from "./plan.ts";

export const NODE_STATUSES = [
  "NODE_STATUS_UNKNOWN",
  "NODE_STATUS_ACTIVE",
  "NODE_STATUS_CORDONED",
  "NODE_STATUS_DRAINING",
  "NODE_STATUS_UNHEALTHY",
  "NODE_STATUS_TERMINATED",
] as const;
export type NodeStatus = (typeof NODE_STATUSES)[number];

export const HEALTH_STATUSES = [
  "HEALTH_STATUS_UNKNOWN",
  "HEALTH_STATUS_HEALTHY",
  "HEALTH_STATUS_DEGRADED",
  "HEALTH_STATUS_UNHEALTHY",
] as const;
export type HealthStatus = (typeof HEALTH_STATUSES)[number];

export const INSTANCE_STATES = [
  "INSTANCE_STATE_UNKNOWN",
  "INSTANCE_STATE_PROVISIONING",
  "INSTANCE_STATE_PENDING_REGISTRATION",
  "INSTANCE_STATE_RUNNING",
  "INSTANCE_STATE_TERMINATING",
  "INSTANCE_STATE_TERMINATED",
  "INSTANCE_STATE_FAILED",
] as const;
export type InstanceStateName = (typeof INSTANCE_STATES)[number];

export type GpuView = {
  index: number;
  uuid: string;
  name: string;
  pci_bus_id: string;
  memory_total: number | null;
  driver_version: string | null;
  cuda_version: string | null;
};

export type HealthEventView = {
  timestamp: string;
  kind: string;
  code: number | null;
  gpu_index: number | null;
  gpu_uuid: string | null;
  severity: string;
  message: string;
  foreign: boolean;
};

export type CordonView = { by: string; why: string; at: string };

export type NodeView = {
  node_id: string;
  provider: string | null;
  region: string | null;
  zone: string | null;
  instance_type: string | null;
  status: NodeStatus;
  health_status: HealthStatus;
  last_heartbeat: string | null;
  gpus: GpuView[];
  metadata: {
    hostname: string | null;
    internal_ip: string | null;
    external_ip: string | null;
    kernel_version: string | null;
    labels: Record<string, string>;
  };
  pool: string | null;
  instance_id: string | null;
  kubernetes_node: string | null;
  /** True if its GPUs are simulated. */
  fake: boolean;
  phase: string;
  phase_since: string;
  /** When a draining node was found empty. */
  drained_at: string | null;
  verdict: string;
  reasons: string[];
  cordons: { product: CordonView | null; human: CordonView | null };
  session_id: string | null;
  replaces: string | null;
  created_at: string;
  instance: { id: string; state: InstanceStateName; provider: string } | null;
  agent_version: string | null;
  /** Only in the answer for one node. */
  health_events?: HealthEventView[];
};

export type PoolView = {
  name: string;
  desired: number;
  nodes: number;
  ready: number;
  min: number;
  max: number;
  providers: string[];
  strategy: string;
  conditions: string[];
};

/** The seven documented keys first (`api.md` B3), then ours. */
export type PoolStatusView = {
  name: string;
  total_nodes: number;
  healthy_nodes: number;
  unhealthy_nodes: number;
  cordoned_nodes: number;
  can_scale_up: boolean;
  can_scale_down: boolean;
  desired: number;
  provisioning: number;
  draining: number;
  min_nodes: number;
  max_nodes: number;
  utilization: number | null;
  pending_jobs: number | null;
  queue_depth: number | null;
  last_scale_at: string | null;
  conditions: string[];
};

export type CommandView = {
  command_id: string;
  node_id: string;
  type: string;
  issued_at: string;
  issued_by: string;
  reason: string;
  /** `accepted`, `applied` or `refused`. */
  status: string;
  message: string | null;
};

export type EventView = {
  id: number;
  at: string;
  kind: string;
  node_id: string | null;
  pool: string | null;
  session_id: string | null;
  actor: string;
  message: string;
};

export type WaitView = {
  node_id: string | null;
  pool: string | null;
  reason: WaitReason;
  message: string;
  until: string | null;
};
export type ActionView = { node_id: string; kind: string; what: string; because: string[] };
export type PlanView = {
  actions: ActionView[];
  waits: WaitView[];
  blind: string[];
  frozen: string | null;
};

/** Why something is as it is, what happens next and when, and what is in the way (`api.md` B2). */
export type ExplainView = {
  subject: string;
  kind: "node" | "pool" | "instance";
  state: string;
  since: string | null;
  /** Cause chain, oldest first, with the evidence in each. */
  causes: { at: string | null; text: string }[];
  next: string | null;
  earliest: string | null;
  blockers: string[];
};

export type InstanceView = {
  instance_id: string;
  provider: string;
  region: string | null;
  zone: string | null;
  instance_type: string;
  state: InstanceStateName;
  pool: string | null;
  node_id: string;
  created_at: string;
  status_message: string | null;
};

export type TokenView = {
  id: string;
  role: string;
  label: string;
  node_id: string | null;
  created_at: string;
  created_by: string;
  expires_at: string | null;
  revoked_at: string | null;
  /** Only in the answer to its creation. */
  token?: string;
};

export type VersionView = {
  version: string;
  commit: string;
  build_date: string;
  runtime: string;
  platform: string;
};

/** `api.md` B7. */
export const ERROR_CODES = [
  "invalid_argument",
  "unauthenticated",
  "permission_denied",
  "not_found",
  "node_unknown",
  "conflict",
  "out_of_bounds",
  "not_cordoned",
  "gone",
  "precondition_failed",
  "too_large",
  "rate_limited",
  "internal",
  "unavailable",
  "not_leader",
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];
export type ErrorBody = {
  error: { code: ErrorCode; message: string; details: Record<string, unknown>; request_id: string };
};
