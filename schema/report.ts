/**
 * An agent's report and its reply, over the WebSocket and `POST /v1/agent/report`. Unchanged parts
 * are left out, so a quiet heartbeat has a few hundred bytes; findings are numbered by the spool
 * and acknowledged once they are durable.
 */
import * as v from "valibot";
import { WorkerReport, WorkerWord } from "./agentpool.ts";
import { Gap, SpooledFinding } from "./finding.ts";
import { GpuIdentity, GpuSample } from "./gpu.ts";
import { BootId, CommandId, NodeId, StreamId } from "./id.ts";
import { InstantText } from "./instant.ts";
import { LIMIT } from "./limit.ts";
import { amount, count, integer, millis, reading } from "./number.ts";
import { AgentTrust, OrderSignature, ShownKey } from "./order.ts";

/** Raised when old agents and new control planes are incompatible. */
export const REPORT_VERSION = 1;

const short = (max: number) => v.pipe(v.string(), v.maxLength(max));
const at = InstantText;

function firstLabels(labels: Record<string, string>): Record<string, string> {
  const entries = Object.entries(labels);
  if (entries.length <= LIMIT.labelsMax) return labels;
  return Object.fromEntries(entries.slice(0, LIMIT.labelsMax));
}

/** Identity and hardware of the node; sent first, and again after a change. */
export const Inventory = v.object({
  hostname: short(255),
  provider: v.nullish(short(63), null),
  region: v.nullish(short(63), null),
  zone: v.nullish(short(63), null),
  instance_type: v.nullish(short(128), null),
  /** Identities that cannot be reused: cloud instance id, DMI system UUID. */
  provider_ids: v.nullish(v.pipe(v.array(short(256)), v.maxLength(8)), []),
  /** A hint only: membership is decided by the matched instance. */
  pool: v.nullish(short(63), null),
  /** More than the limit are dropped. */
  labels: v.nullish(v.pipe(v.record(short(316), short(256)), v.transform(firstLabels)), {}),
  internal_ip: v.nullish(short(64), null),
  external_ip: v.nullish(short(64), null),
  kernel_version: v.nullish(short(128), null),
  driver_version: v.nullish(short(80), null),
  cuda_version: v.nullish(short(32), null),
  gpus: v.pipe(v.array(GpuIdentity), v.maxLength(LIMIT.gpusPerNodeMax)),
  capabilities: v.nullish(v.pipe(v.array(short(64)), v.maxLength(32)), []),
  /** Absent from agents older than signed orders. */
  trust: v.nullish(AgentTrust),
});
export type Inventory = v.InferOutput<typeof Inventory>;

/** Capability of an agent that sends `pod_token` with each inventory. */
export const POD_TOKEN_CAPABILITY = "pod_token";

/** Latest readings. Lost samples are never resent: only findings are. */
export const Sample = v.object({
  at,
  cpu_percent: v.nullish(reading),
  memory_percent: v.nullish(reading),
  gpus: v.pipe(v.array(GpuSample), v.maxLength(LIMIT.gpusPerNodeMax)),
});
export type Sample = v.InferOutput<typeof Sample>;

export const PROBE_OUTCOMES = [
  "ok",
  "finding",
  "not_supported",
  "no_permission",
  "timeout",
  "crashed",
  "error",
  "skipped",
] as const;
export type ProbeOutcome = (typeof PROBE_OUTCOMES)[number];

export const ProbeResult = v.object({
  name: short(64),
  outcome: v.picklist(PROBE_OUTCOMES),
  duration_ms: amount,
  message: v.nullish(short(256), null),
});
export type ProbeResult = v.InferOutput<typeof ProbeResult>;

/** The source of the expected GPU count; `baseline` is the highest count ever seen. */
export const EXPECTED_FROM = ["bus", "option", "instance_type", "pool", "baseline"] as const;
export const Expected = v.object({
  gpus: v.pipe(count, v.maxValue(LIMIT.gpusPerNodeMax)),
  from: v.picklist(EXPECTED_FROM),
});
export type Expected = v.InferOutput<typeof Expected>;

/**
 * One full round of probes. `conclusive` is false if nothing could be read; it is then no
 * evaluation. Conditions that are not in `active` are over.
 */
export const Check = v.object({
  at,
  conclusive: v.boolean(),
  probes: v.pipe(v.array(ProbeResult), v.maxLength(64)),
  /** GPUs that should be there and that answer now. */
  expected_gpus: v.nullish(count, null),
  present_gpus: count,
  /** Source of the expected count; `null` with `expected_gpus`. */
  expected_from: v.nullish(v.picklist(EXPECTED_FROM)),
  /** Conditions that hold now, `<kind>/<reason>/<gpu uuid or node>`; empty is a clean check. */
  active: v.pipe(v.array(short(200)), v.maxLength(256)),
});
export type Check = v.InferOutput<typeof Check>;

export const COMMAND_OUTCOMES = ["succeeded", "failed", "rejected"] as const;
export const CommandResult = v.object({
  command_id: CommandId,
  outcome: v.picklist(COMMAND_OUTCOMES),
  exit_code: v.nullish(integer, null),
  output: v.nullish(short(8_192), null),
});
export type CommandResult = v.InferOutput<typeof CommandResult>;

/** What the cloud announced to the machine itself; `at` by the cloud's clock, `null` = unknown. */
export const AgentNotice = v.object({
  kind: v.picklist(["preemption", "maintenance"]),
  at: v.nullish(at, null),
  message: short(256),
});
export type AgentNotice = v.InferOutput<typeof AgentNotice>;

export const Report = v.object({
  version: v.literal(REPORT_VERSION, `report version must be ${REPORT_VERSION}`),
  node_id: NodeId,
  boot_id: BootId,
  stream: StreamId,
  agent_version: short(64),
  /** True if any GPU of this node is simulated; marks the node everywhere. */
  simulated: v.boolean(),
  sent_at: at,
  inventory: v.nullish(Inventory, null),
  /**
   * With the inventory, from a pod: a service-account token with Navarch's audience, reviewed and
   * never stored. A malformed one is dropped: a refused report would count as silence.
   */
  pod_token: v.fallback(v.optional(short(LIMIT.podTokenCharsMax)), undefined),
  sample: v.nullish(Sample, null),
  check: v.nullish(Check, null),
  /** In order, without holes except those in `gaps`. */
  findings: v.nullish(v.pipe(v.array(SpooledFinding), v.maxLength(LIMIT.findingsPerReportMax)), []),
  gaps: v.nullish(v.pipe(v.array(Gap), v.maxLength(LIMIT.findingsPerReportMax)), []),
  results: v.nullish(v.pipe(v.array(CommandResult), v.maxLength(32)), []),
  /** As `AgentTrust.refused`, in every report. */
  refused_orders: v.nullish(count),
  /** In every report while it holds. A malformed one is dropped, as `pod_token` is. */
  notice: v.fallback(v.optional(AgentNotice), undefined),
  /** Of a worker of an AgentPool, in every report. A malformed one is dropped too. */
  worker: v.fallback(v.optional(WorkerReport), undefined),
});
export type Report = v.InferOutput<typeof Report>;

export const AgentCommand = v.object({
  command_id: CommandId,
  /** `upgrade` is sent only to agents that support it; others ignore an unknown type. */
  type: v.picklist(["diagnose", "reboot", "gpu_reset", "upgrade"]),
  parameters: v.record(short(64), short(256)),
  /** The node's fence when the command was given; the agent refuses an older one. */
  fence: count,
  /** Current agents refuse an order without a signature. */
  signature: v.nullish(OrderSignature),
});
export type AgentCommand = v.InferOutput<typeof AgentCommand>;

/** Cadence set by the control plane. Milliseconds. */
export const AgentConfig = v.object({
  heartbeat_ms: millis,
  sample_ms: millis,
  check_ms: millis,
});
export type AgentConfig = v.InferOutput<typeof AgentConfig>;

export const ReportReply = v.object({
  /** Everything up to and including this seq of this stream is durable here. */
  ack_seq: count,
  stream: StreamId,
  /** The id as the control plane knows it. */
  node_id: NodeId,
  config: AgentConfig,
  commands: v.array(AgentCommand),
  server_time: at,
  /** Requested after a restart of the control plane, or for an unknown node. */
  want_inventory: v.boolean(),
  /** Report current conditions again: checks list one that is unknown here. */
  tell_again: v.optional(v.boolean()),
  /** GPUs that this node must have by its instance type or pool, if known. */
  expected: v.nullish(Expected),
  node_status: v.nullish(short(64), null),
  verdict: v.nullish(short(32), null),
  /** A per-node credential for an agent that used the shared token; it is used from then on. */
  credential: v.nullish(short(256), null),
  /** The key that signs orders and releases, for an agent that does not report this very key. */
  order_key: v.nullish(ShownKey),
  /** For a worker of an AgentPool. A malformed one is dropped: the rest of the reply counts. */
  worker: v.fallback(v.optional(WorkerWord), undefined),
});
export type ReportReply = v.InferOutput<typeof ReportReply>;
