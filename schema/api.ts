/**
 * Responses of the HTTP interface, shared by routes and commands: snake_case keys, full enum names,
 * RFC 3339 times. Node status and instance state are two projections of `Phase`.
 */
import type { FailureView } from "./api-simulation.ts";
import type { RmaView } from "./rma.ts";
import type { PoolCostView } from "./cost-view.ts";
import type { WaitReason } from "./plan.ts";
import type { BreakerState, Cause } from "./safety.ts";
import type { NodeWorkerView } from "./agentpool-view.ts";
import type { NodeSinksView, SlurmNodeView } from "./slurm-view.ts";

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

export type KubeNodeView = {
  name: string;
  uid: string;
  matched_by: string;
  unschedulable: boolean;
  /** Navarch's mark is on it. */
  marked: boolean;
  /** Other owners that hold it unschedulable. */
  held_by: string[];
  hold: boolean;
  absent_since: string | null;
  /** Why the object stays although its machine is gone. */
  stays?: string | null;
};

/** What a drain does with one pod. */
export type PodPlanView = {
  namespace: string;
  name: string;
  uid: string;
  /** `keep`, `evict`, `wait` or `blocked`. */
  verdict: string;
  why: string;
};

export type { RefusalCause } from "./kube-past.ts";
export type { KubernetesView, PermissionsView } from "./kubernetes-view.ts";
export type { NodeSinksView, SlurmNodeView } from "./slurm-view.ts";

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
  kubernetes?: KubeNodeView | null;
  slurm?: SlurmNodeView | null;
  /** `null` = a machine, not a worker pod. */
  worker?: NodeWorkerView | null;
  sinks?: NodeSinksView;
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
  /** For the vendor: a machine that the operator owns is held with broken hardware. */
  rma?: RmaView;
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

/** A hold or freeze by a person; `until` `null` = no end. */
export type HoldView = { by: string; why: string; at: string | null; until: string | null };

/** `all`: cordons stop too. `effect` is one sentence: what the freeze stops. */
export type FreezeView = HoldView & { all: boolean; effect: string };

/** A circuit breaker that is not closed (docs/reference/safety.md#breaker). */
export type BreakerView = {
  scope: string;
  state: BreakerState;
  since: string;
  why: string;
  cause: { attribute: Cause["attribute"]; value: string } | null;
};

/** An offer and set-up at which new nodes do not come up. */
export type SuspectView = {
  pool: string;
  /** `<provider>/<region>/<zone>/<type>#<set-up>`. */
  place: string;
  failures: number;
  next_try: string | null;
};

/** Use of a limit in one scope; `max` 0 = none may. */
export type RoomView = { scope: string; rung: string; used: number; max: number };

/** `what`: one kind of isolation, for people. */
export type UncountedView = { kind: string; what: string; nodes: number };

/** Cost of one scope, dollars per hour; `null` = no ceiling. */
export type BillView = {
  scope: string;
  per_hour: number;
  per_hour_max: number | null;
  /** Since the first of the month (UTC), open purchases included. Absent in older versions. */
  month?: number;
  month_max?: number | null;
  instances: number;
  instances_max: number | null;
  /** Instances whose price is unknown. */
  unknown_prices: number;
};

/** An instance whose termination is not confirmed (docs/reference/safety.md#spend). */
export type BilledView = {
  instance_id: string;
  node_id: string;
  provider: string;
  pool: string | null;
  since: string;
  price_per_hour: number | null;
  /** Why the cloud last refused to end it. Absent at older control planes. */
  refused?: string | null;
};

export type QuarantinedGpuView = {
  uuid: string;
  because: string;
  last_at: string;
  nodes: string[];
  provider: string;
  place: string;
  refused: number;
};

/** Active safety limits, and the use of each. */
/** What a control plane that serves does without. */
export type DegradedView = { part: "metrics_port" | "provider"; name: string; why: string };

export type SafetyView = {
  frozen: FreezeView | null;
  /** Why observations are unreliable. */
  blind: string[];
  /** Why the loop, or a pool, cannot act. */
  broken: string | null;
  /** An older control plane does not report it. */
  degraded?: DegradedView[];
  holds: (HoldView & { pool: string })[];
  breakers: BreakerView[];
  quarantined: { rule: string; at: string; why: string }[];
  suspects: SuspectView[];
  /** Racks only while in use. */
  budgets: RoomView[];
  /** Nodes out of service that the rung `isolate` does not count. Absent in older versions. */
  uncounted?: UncountedView[];
  bills: BillView[];
  still_billed: { count: number; per_hour: number; unknown_prices: number; oldest: BilledView[] };
  lemons: { count: number; refused: number; newest: QuarantinedGpuView[] };
  /** Learned hardware failures per 1,000 node-days. */
  failure_rate: number;
  /** Waits of the newest plan by reason. */
  waits: Partial<Record<WaitReason, number>>;
  providers: {
    name: string;
    /** How repeated purchases are recognised (docs/reference/providers.md#classes). */
    class: string;
    guarantee: string;
    /** Why nothing can be bought. */
    unavailable: string | null;
    /** Why bought machines do not come up. */
    trouble?: string | null;
    /** With which providers it shares account and region. Absent at older control planes. */
    shared?: string | null;
  }[];
  /** Present while faults may be injected: the providers that fail on purpose. */
  simulation?: { provider: string; failure: FailureView }[];
};

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
  hold: HoldView | null;
  /** Of the pool, the fleet, and its nodes' domains. */
  breakers: BreakerView[];
  suspects: SuspectView[];
  conditions: string[];
  /** Absent in older versions. */
  cost?: PoolCostView;
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
  trace_id?: string | null;
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

/** State with its causes, the next step with its time, and blockers. */
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
  /** Budgets around it, and their use. */
  limits?: string[];
  /** Commands that show more of it. */
  see?: string[];
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
  price_per_hour: number | null;
  /** Since when its termination is requested and not confirmed. */
  ending_since: string | null;
};

export type VersionView = {
  version: string;
  commit: string;
  build_date: string;
  runtime: string;
  platform: string;
};

/** Error codes with their HTTP status. */
export const ERROR_STATUS = {
  invalid_argument: 400,
  unauthenticated: 401,
  permission_denied: 403,
  not_found: 404,
  node_unknown: 404,
  conflict: 409,
  out_of_bounds: 409,
  not_cordoned: 409,
  gone: 409,
  precondition_failed: 412,
  too_large: 413,
  rate_limited: 429,
  budget_blocked: 429,
  internal: 500,
  cluster_unreachable: 502,
  unavailable: 503,
  not_leader: 503,
  cluster_slow: 504,
} as const;
export type ErrorCode = keyof typeof ERROR_STATUS;
