/**
 * The configuration after reading: one form, whatever dialect it was written in. Durations are
 * milliseconds and end in `Ms`; every default is filled in. How YAML becomes this is
 * `reconciler/config/`; here is only what the rest of the product may rely on.
 */
import * as v from "valibot";
import { PoolName } from "./id.ts";
import { LIMIT } from "./limit.ts";
import { amount, count, finite, percent, port, positive, share } from "./number.ts";

const text = v.pipe(v.string(), v.maxLength(65_536));

export const PROVIDER_TYPES = [
  "lambda",
  "gcp",
  "aws",
  "coreweave",
  "fake",
  "docker",
  "static",
  "machine",
] as const;
export type ProviderType = (typeof PROVIDER_TYPES)[number];

export const AUTOSCALER_TYPES = [
  "reactive",
  "queue",
  "scheduled",
  "predictive",
  "composite",
] as const;
export const STRATEGIES = ["priority", "cost", "availability", "round-robin"] as const;
/** Rungs of a repair that a pool may opt into, mildest first. */
export const RUNGS = ["gpu-reset", "reboot", "replace"] as const;
export type Rung = (typeof RUNGS)[number];
export const REPLACEMENTS = ["drain-first", "surge"] as const;

/**
 * A share of a pool's desired size, or a fixed number of nodes. `20%` of 3 is `max(1, floor(0.6))`
 * = 1.
 */
export const Share = v.union([
  v.object({ kind: v.literal("nodes"), nodes: count }),
  v.object({ kind: v.literal("percent"), percent }),
]);
export type Share = v.InferOutput<typeof Share>;

export const ScheduleWindow = v.object({
  /** 0 = Sunday … 6 = Saturday. */
  days: v.array(v.pipe(count, v.maxValue(6))),
  /** Minutes after midnight, start inclusive, end exclusive; end < start crosses midnight. */
  startMinute: count,
  endMinute: count,
  minNodes: count,
  maxNodes: count,
});

export type Autoscaler =
  | { type: "reactive"; scaleUpThreshold: number; scaleDownThreshold: number; step: number }
  | { type: "queue"; jobsPerNode: number; count: "pods" | "gpus" }
  | {
      type: "scheduled";
      schedule: v.InferOutput<typeof ScheduleWindow>[];
      timezone: string;
      fallback: Autoscaler | null;
    }
  | {
      type: "predictive";
      lookbackWindow: number;
      growthFactor: number;
      fallback: Autoscaler | null;
    }
  | { type: "composite"; mode: "max" | "min" | "avg"; autoscalers: Autoscaler[] };

export const Autoscaler: v.GenericSchema<Autoscaler> = v.variant("type", [
  v.object({
    type: v.literal("reactive"),
    scaleUpThreshold: percent,
    scaleDownThreshold: percent,
    step: count,
  }),
  v.object({ type: v.literal("queue"), jobsPerNode: count, count: v.picklist(["pods", "gpus"]) }),
  v.object({
    type: v.literal("scheduled"),
    schedule: v.array(ScheduleWindow),
    timezone: text,
    fallback: v.nullable(v.lazy(() => Autoscaler)),
  }),
  v.object({
    type: v.literal("predictive"),
    lookbackWindow: count,
    growthFactor: finite,
    fallback: v.nullable(v.lazy(() => Autoscaler)),
  }),
  v.object({
    type: v.literal("composite"),
    mode: v.picklist(["max", "min", "avg"]),
    autoscalers: v.array(v.lazy(() => Autoscaler)),
  }),
]);

/** One place an instance may be bought. */
export const ProviderRef = v.object({
  name: PoolName,
  priority: count,
  weight: positive,
  regions: v.array(text),
  zones: v.array(text),
  instanceType: text,
});
export type ProviderRef = v.InferOutput<typeof ProviderRef>;

export const Drain = v.object({
  mode: v.picklist(["evict", "wait"]),
  /** −1 = the pod's own grace period. */
  gracePeriodMs: finite,
  ignoreDaemonsets: v.boolean(),
  deleteEmptydirData: v.boolean(),
  force: v.boolean(),
  /** 0 = no limit. */
  timeoutMs: amount,
  /** The same for hardware that is certainly broken: it costs, and its work is lost already. */
  fatalTimeoutMs: amount,
  /** `auto`: terminate if the node is hardware-unhealthy, else hold. */
  onTimeout: v.picklist(["auto", "terminate", "hold"]),
  /** Without a scheduler and without a process list: wait this long, then count as drained. */
  unknownWaitMs: amount,
});
export type Drain = v.InferOutput<typeof Drain>;

/** Hard ceilings below all logic; `null` = none. Dollars an hour, and live instances. */
export const Spend = v.object({
  perHourMax: v.nullable(amount),
  instancesMax: v.nullable(count),
});
export type Spend = v.InferOutput<typeof Spend>;

export const PoolConfig = v.object({
  name: PoolName,
  /** None only where `adopt` says that the pool is made of machines that nobody buys. */
  providers: v.array(ProviderRef),
  /** Unmanaged nodes count towards the size, and may be drained for a smaller one. */
  adopt: v.boolean(),
  strategy: v.picklist(STRATEGIES),
  instanceType: text,
  /** GPUs of each node; 0 = none expected; absent = what the instance type is known to have. */
  gpus: v.nullish(v.pipe(count, v.maxValue(LIMIT.gpusPerNodeMax))),
  region: v.nullable(text),
  zones: v.array(text),
  sshKeys: v.array(text),
  scaling: v.object({
    minNodes: count,
    maxNodes: positive,
    cooldownMs: amount,
    autoscaler: v.nullable(Autoscaler),
  }),
  health: v.object({
    unhealthyThreshold: positive,
    autoReplace: v.boolean(),
    maxUnavailable: Share,
  }),
  replacement: v.picklist(REPLACEMENTS),
  /**
   * Without a `repair:` block (`implied`) the first destructive rung is replacement, but for faults
   * of the fabric.
   */
  repair: v.object({
    ladder: v.pipe(v.array(v.picklist(RUNGS)), v.minLength(1)),
    implied: v.optional(v.literal(true)),
  }),
  labels: v.record(text, text),
  drain: Drain,
  spend: Spend,
  bootstrap: v.object({
    setupCommands: v.array(text),
    sshUser: text,
    sshPrivateKeyPath: v.nullable(text),
    sshHostKey: text,
    become: v.picklist(["auto", "always", "never"]),
    pushAgent: v.boolean(),
    attempts: count,
    ipWaitTimeoutMs: amount,
    /** Where sshd listens. */
    sshPort: v.pipe(positive, v.maxValue(65_535)),
    /** `[user@]host[:port]` of a machine in between, `null` = none. */
    sshJump: v.nullable(text),
    sshTimeoutMs: amount,
    sshConnectTimeoutMs: amount,
    commandTimeoutMs: amount,
  }),
});
export type PoolConfig = v.InferOutput<typeof PoolConfig>;

/** Settings of one provider beyond its type; which keys are legal is checked where YAML is read. */
export const ProviderConfig = v.object({
  name: PoolName,
  type: v.picklist(PROVIDER_TYPES),
  /** True if no `providers` entry names it and it exists only because a pool refers to it. */
  implied: v.boolean(),
  spend: Spend,
  settings: v.record(text, v.union([v.string(), finite, v.boolean(), v.null()])),
});
export type ProviderConfig = v.InferOutput<typeof ProviderConfig>;

export const NotifierConfig = v.variant("type", [
  v.object({ type: v.literal("noop") }),
  v.object({
    type: v.literal("webhook"),
    cordonUrl: v.nullable(text),
    uncordonUrl: v.nullable(text),
    drainUrl: v.nullable(text),
    drainStatusUrl: v.nullable(text),
    timeoutMs: amount,
    /** Values still hold `${ENV_NAME}`; expanded where the notifier is opened, never logged. */
    headers: v.record(text, text),
    secretEnv: v.nullable(text),
    retry: v.object({ attempts: count, initialMs: amount, maxMs: amount }),
  }),
]);
export type NotifierConfig = v.InferOutput<typeof NotifierConfig>;

export const ServerConfig = v.object({
  /** Empty host = every interface. */
  host: v.string(),
  port: port,
  externalAddress: v.nullable(text),
  heartbeatIntervalMs: amount,
  heartbeatTimeoutMs: amount,
  healthCheckIntervalMs: amount,
  autoscaleIntervalMs: amount,
  sampleIntervalMs: amount,
  healthPolicyPath: v.nullable(text),
  statePath: v.nullable(text),
  notifier: NotifierConfig,
  /** Either both files, or `ownCa`: an authority of the fleet's own, made on first start. */
  tls: v.nullable(
    v.object({
      certFile: v.nullable(text),
      keyFile: v.nullable(text),
      ownCa: v.boolean(),
      clientCaFile: v.nullable(text),
    }),
  ),
  auth: v.object({
    tokenEnv: text,
    tokenFile: v.nullable(text),
    adminTokenFile: v.nullable(text),
    nodeTokenFile: v.nullable(text),
    allowAnonymous: v.boolean(),
    metricsAuth: v.boolean(),
  }),
  metricsRetentionMs: amount,
  registrationTimeoutMs: amount,
  staleCheckIntervalMs: amount,
  retainTerminatedMs: amount,
});
export type ServerConfig = v.InferOutput<typeof ServerConfig>;

/** What one rung may do at once in each of its scopes (docs/reference/safety.md#budgets). */
const Limits = v.object({ pool: Share, domain: Share, fleet: Share });
export type Limits = v.InferOutput<typeof Limits>;

export const SafetyConfig = v.object({
  budgets: v.object({
    /** New cordons for health within the sliding window. */
    isolate: v.object({ ...Limits.entries, windowMs: amount }),
    drain: Limits,
    gpuReset: Limits,
    reboot: Limits,
    replace: Limits,
  }),
  breaker: v.object({
    enabled: v.boolean(),
    windowMs: amount,
    longWindowMs: amount,
    /** A burst that is less likely than this, by the learned rate, is no hardware. */
    probability: share,
    /** Failures per 1,000 node-days: what is believed before anything was learned, and bounds. */
    ratePrior: amount,
    rateMin: amount,
    rateMax: amount,
  }),
  /** The whole fleet; pools and providers may have ceilings of their own. */
  spend: Spend,
});
export type SafetyConfig = v.InferOutput<typeof SafetyConfig>;

/** How the fleet is mirrored into a Kubernetes cluster. */
export const KubernetesConfig = v.object({
  /** `auto`: on if in-cluster credentials or a kubeconfig is found. */
  enabled: v.union([v.boolean(), v.literal("auto")]),
  kubeconfig: v.nullable(text),
  context: v.nullable(text),
  /** Label of the pods that are a pool's queue. */
  podLabel: text,
  /**
   * What a `kubectl uncordon` of a node in repair means: the repair is called off, or the mark is
   * set once more.
   */
  onUncordon: v.picklist(["cancel", "enforce"]),
  /** How often people are reminded of broken hardware that someone uncordoned; 0 = never. */
  uncordonReviewMs: amount,
  /** How machines join the cluster whose pool's commands do that. */
  join: v.object({
    /** `https://host:port` as machines dial it; `null` = as the cluster itself says. */
    server: v.nullable(text),
  }),
  /** `NAMESPACE/NAME` of the agents' service account; `null` = the shipped one. */
  agentAccount: v.nullable(text),
  /** What is written to the cluster. */
  mirror: v.object({
    cordon: v.boolean(),
    drain: v.boolean(),
    condition: v.boolean(),
    labels: v.boolean(),
    deleteNode: v.boolean(),
    taint: v.boolean(),
  }),
  /**
   * What the cluster must say of a node before it serves: that its Node is Ready and offers the
   * GPUs that the agent counts, that it is Ready, or nothing.
   */
  ready: v.picklist(["gpus", "node", "off"]),
  readyTimeoutMs: amount,
  /** Ceiling of evictions and deletions a second; the rate adapts below it. */
  writesPerSecondMax: v.pipe(finite, v.minValue(1)),
});
export type KubernetesConfig = v.InferOutput<typeof KubernetesConfig>;

export const Config = v.object({
  server: ServerConfig,
  safety: SafetyConfig,
  providers: v.array(ProviderConfig),
  pools: v.array(PoolConfig),
  kubernetes: KubernetesConfig,
});
export type Config = v.InferOutput<typeof Config>;

/** One thing wrong, or worth saying, about a document: `FILE:LINE:COL: PATH: problem (hint)`. */
export const Problem = v.object({
  file: v.string(),
  line: count,
  col: count,
  path: v.string(),
  code: v.string(),
  message: v.string(),
  hint: v.nullable(v.string()),
  severity: v.picklist(["error", "warning", "note"]),
});
export type Problem = v.InferOutput<typeof Problem>;
