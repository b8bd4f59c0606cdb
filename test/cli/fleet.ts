/**
 * What the stub control plane knows: one small fleet with a healthy, a sick, a silent and a stray
 * node, at one fixed time.
 */
import { sayFreezeEffect } from "../../schema/safety.ts";
import type { QueueView } from "../../reconciler/http/view/scaling.ts";
import type { MemberView, MembersView } from "../../reconciler/http/view/member.ts";
import type {
  EventView,
  ExplainView,
  InstanceView,
  NodeView,
  PlanView,
  PoolStatusView,
  SafetyView,
} from "../../schema/api.ts";
import type { TokenView } from "../../schema/credential.ts";

/** What the server's clock shows; ages in tables are counted from here. */
export const NOW = "2026-03-01T12:00:00.000Z";
export const at = (secondsAgo: number) =>
  new Date(Date.parse(NOW) - secondsAgo * 1_000).toISOString();

const GPU = {
  name: "NVIDIA H100 80GB HBM3",
  memory_total: 85_899_345_920,
  driver_version: "570.86.15",
  cuda_version: "12.8",
};

export function nodeView(id: string, more: Partial<NodeView> = {}): NodeView {
  const gpus = [0, 1].map((index) => ({
    index,
    uuid: `GPU-${id}-${index}`,
    pci_bus_id: `0000:0${index + 1}:00.0`,
    ...GPU,
  }));
  return {
    node_id: id,
    provider: "lambda",
    region: "us-east-1",
    zone: null,
    instance_type: "gpu_8x_h100_sxm5",
    status: "NODE_STATUS_ACTIVE",
    health_status: "HEALTH_STATUS_HEALTHY",
    last_heartbeat: at(12),
    gpus,
    metadata: {
      hostname: `${id}.internal`,
      internal_ip: "10.0.0.7",
      external_ip: null,
      kernel_version: "6.8.0",
      labels: { pool: "training" },
    },
    pool: "training",
    instance_id: `i-${id}`,
    kubernetes_node: `k8s-${id}`,
    fake: false,
    phase: "serving",
    drained_at: null,
    phase_since: at(7_200),
    verdict: "healthy",
    reasons: [],
    cordons: { product: null, human: null },
    session_id: null,
    replaces: null,
    created_at: at(90_000),
    instance: { id: `i-${id}`, state: "INSTANCE_STATE_RUNNING", provider: "lambda" },
    agent_version: "0.1.0",
    ...more,
  };
}

/** In the wrong order on purpose: the table is sorted by pool, then id, and 10 comes after 2. */
export function nodesOfStub(): NodeView[] {
  return [
    nodeView("gpu-10", { last_heartbeat: at(185) }),
    nodeView("stray", { pool: null, provider: null, last_heartbeat: null, gpus: [] }),
    nodeView("gpu-2", {
      status: "NODE_STATUS_UNHEALTHY",
      health_status: "HEALTH_STATUS_UNHEALTHY",
      last_heartbeat: at(7_300),
      reasons: ["XID 79 on GPU 3: GPU has fallen off the bus"],
      cordons: { product: { by: "navarch", why: "XID 79", at: at(60) }, human: null },
      replaces: "gpu-1",
    }),
    nodeView("alpha-1", { pool: "alpha", zone: "a", last_heartbeat: at(4 * 86_400) }),
  ];
}

export const POOL: PoolStatusView & { queue: QueueView; cannot_scale_up: string | null } = {
  name: "training",
  total_nodes: 2,
  healthy_nodes: 1,
  unhealthy_nodes: 1,
  cordoned_nodes: 0,
  can_scale_up: false,
  cannot_scale_up: "gcp: providers of type gcp have no adapter in this version",
  can_scale_down: true,
  desired: 2,
  provisioning: 0,
  draining: 0,
  min_nodes: 1,
  max_nodes: 4,
  utilization: 71.4,
  pending_jobs: null,
  queue_depth: 3,
  queue: {
    source: "kubernetes",
    observed_at: at(2),
    age_s: 2,
    counts: "gpus",
    pending_gpus: 8,
    gpu_depth: 24,
  },
  last_scale_at: at(600),
  hold: { by: "token:t1", why: "firmware day", at: null, until: at(-3_600) },
  breakers: [
    {
      scope: "pool:training",
      state: "restrained",
      since: at(120),
      why: "4 repair sessions among 9 nodes in an hour are more than hardware does",
      cause: null,
    },
  ],
  suspects: [
    { pool: "training", place: "lambda/us-east-1//h100#ab12", failures: 3, next_try: at(-300) },
  ],
  conditions: ["offer lambda/us-east-1 refused: no capacity, again at 12:05"],
};

export const SIZED_TOO =
  "pool training has a queue autoscaler: it continues from this size, and may change it";

const MEMBER: MemberView = {
  node_id: "gpu-2",
  state: "running",
  phase: "serving",
  since: at(7_200),
  provider_id: "lambda://i-gpu-2",
  instance_id: "i-gpu-2",
  provider: "lambda",
  kubernetes_node: "worker-2",
  error: null,
};

export const MEMBERS: MembersView = {
  name: "training",
  target: 2,
  min_nodes: 1,
  max_nodes: 4,
  members: [
    MEMBER,
    {
      ...MEMBER,
      node_id: "gpu-3",
      state: "creating",
      phase: "requested",
      since: at(90),
      provider_id: null,
      instance_id: null,
      provider: null,
      kubernetes_node: null,
      error: { class: "capacity", message: "none left" },
    },
  ],
};

export const EVENTS: EventView[] = (
  [
    ["node.unhealthy", "XID 79 on GPU 3"],
    ["node.cordoned", "by navarch: XID 79"],
    ["node.draining", "work is leaving"],
  ] as const
).map(([kind, message], i) => ({
  id: i + 1,
  at: at(300 - i * 10),
  kind,
  node_id: "gpu-2",
  pool: "training",
  session_id: "s1",
  actor: "navarch",
  message,
}));

export const PLAN: PlanView = {
  actions: [{ node_id: "gpu-2", kind: "effect", what: "terminate", because: ["drained"] }],
  waits: [
    {
      node_id: "gpu-10",
      pool: "training",
      reason: "threshold",
      message: "1 of 2 unhealthy evaluations",
      until: at(-60),
    },
    ...["gpu-2", "gpu-3", "gpu-4", "gpu-5"].map((id, i) => ({
      node_id: id,
      pool: "training",
      reason: "budget" as const,
      message: "fleet: 1 of at most 1 are being replaced",
      until: i === 1 ? at(-90) : null,
    })),
    {
      node_id: null,
      pool: "training",
      reason: "human",
      message: "pool training is held by token:t1: firmware day",
      until: at(-3_600),
    },
  ],
  blind: ["provider gcp does not answer"],
  frozen: null,
};

export const EXPLAIN: ExplainView = {
  subject: "gpu-2",
  kind: "node",
  state: "draining",
  since: at(280),
  causes: [
    { at: at(300), text: "XID 79 on GPU 3: GPU has fallen off the bus" },
    { at: null, text: "policy rule verdict-reboot: unhealthy" },
  ],
  next: "terminate its instance",
  earliest: at(-1_500),
  blockers: ["2 pods are still running"],
  limits: ["replace in fleet: 1 of at most 1"],
  see: ["navarch bootstrap gpu-2"],
};

export const INSTANCE: InstanceView = {
  instance_id: "i-gpu-2",
  provider: "lambda",
  region: "us-east-1",
  zone: null,
  instance_type: "gpu_8x_h100_sxm5",
  state: "INSTANCE_STATE_PENDING_REGISTRATION",
  pool: "training",
  node_id: "gpu-2",
  created_at: at(200),
  status_message: null,
  price_per_hour: 98.32,
  ending_since: null,
};

/** Told to end long ago, and still listed. */
export const ENDING: InstanceView = {
  ...INSTANCE,
  instance_id: "i-old",
  node_id: "gpu-1",
  state: "INSTANCE_STATE_TERMINATING",
  created_at: at(90_000),
  ending_since: at(2_100),
};

export const SAFETY: SafetyView = {
  frozen: {
    ...{ by: "admin", why: "bad driver roll-out", at: at(60), until: null },
    ...{ all: false, effect: sayFreezeEffect(false) },
  },
  blind: ["provider gcp does not answer"],
  broken: null,
  holds: [{ pool: "training", ...(POOL.hold ?? { by: "", why: "", at: null, until: null }) }],
  breakers: POOL.breakers,
  quarantined: [{ rule: "hot@1a2b", at: at(90), why: "12 of 13 sessions share it" }],
  suspects: POOL.suspects,
  budgets: [
    { scope: "fleet", rung: "isolate", used: 1, max: 2 },
    { scope: "fleet", rung: "replace", used: 1, max: 1 },
  ],
  bills: [
    {
      scope: "fleet",
      per_hour: 196.64,
      per_hour_max: 500,
      instances: 3,
      instances_max: null,
      unknown_prices: 1,
    },
  ],
  still_billed: {
    count: 1,
    per_hour: 98.32,
    unknown_prices: 0,
    oldest: [
      {
        instance_id: "i-old",
        node_id: "gpu-1",
        provider: "lambda",
        pool: "training",
        since: at(2_100),
        price_per_hour: 98.32,
      },
    ],
  },
  lemons: {
    count: 1,
    refused: 2,
    newest: [
      {
        uuid: "GPU-1",
        because: "XID 79 on GPU 0",
        last_at: at(500),
        nodes: ["gpu-1"],
        provider: "lambda",
        place: "us-east-1",
        refused: 2,
      },
    ],
  },
  failure_rate: 5,
  waits: { budget: 4, threshold: 1, human: 1 },
  providers: [
    { name: "lambda", class: "tag-only", guarantee: "bounded surplus", unavailable: null },
    { name: "fake", class: "token", guarantee: "exactly-once", unavailable: null },
  ],
};

export function tokenView(more: Partial<TokenView> = {}): TokenView {
  return {
    id: "t1",
    role: "viewer",
    label: "dashboard",
    node_id: null,
    created_at: at(100),
    created_by: "admin",
    expires_at: null,
    revoked_at: null,
    ...more,
  };
}
