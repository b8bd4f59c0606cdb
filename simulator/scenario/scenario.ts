/**
 * A scenario after reading: one form with every default filled in, which is all that the engine may
 * rely on. Durations are milliseconds and end in `Ms`; they count from the start of the scenario
 * unless a comment says otherwise. How YAML becomes this is `read.ts`.
 */
import type { Config } from "../../schema/config.ts";
import type { Policy } from "../../schema/policy.ts";
import type { ValueOf } from "../../schema/config/field.ts";
import type { ClusterSpec } from "./cluster.ts";
import type { FAILURE_TYPES, HEALTHS, PARAMS, STATUSES } from "./action.ts";
import type { CASCADING, CHAOS, CORRELATED, NODE, RECOVERY, STRESS, TEMPLATE } from "./table.ts";

export type Status = (typeof STATUSES)[number];

export type Health = (typeof HEALTHS)[number];

export type FailureType = (typeof FAILURE_TYPES)[number];

/** One simulated machine, listed or generated. */
export type SimNode = ValueOf<typeof NODE> & {
  zone: string;
  /** Eight neighbours of one provider and zone, unless the file names it. */
  rack: string;
};

/**
 * What is wrong with a machine. Only `xid_error` has a code, only `temperature` has degrees
 * Celsius; `gpuIndex` is `WHOLE_NODE` or below the node's GPU count.
 */
export type FailureSpec = ValueOf<Params["inject_failure"]>;

type Params = typeof PARAMS;
export type CommandWord = ValueOf<Params["issue_command"]>["commandType"];

/** How a provider fails; `null` is until the end of the scenario. */
export type ApiFault = ValueOf<Params["provider_fault"]>;
export type KubeFault = ValueOf<Params["api_fault"]>;
export type KubectlWord = ValueOf<Params["kubectl"]>["step"];

export type Step =
  | { action: "start_fleet" }
  | { action: "stop_fleet" }
  | { action: "inject_failure"; target: string; failure: FailureSpec }
  /** `null`: every failure of the node. */
  | { action: "recover_failure"; target: string; type: FailureType | null }
  | {
      action: "issue_command";
      target: string;
      command: CommandWord;
      reason: string | null;
      timeoutMs: number | null;
      force: boolean;
      /** Further arguments, passed on as they are. */
      args: Record<string, string>;
    }
  /** At least one of the three is given; all given must hold at once. */
  | ({ action: "wait_for_status"; target: string } & ValueOf<Params["wait_for_status"]>)
  | { action: "wait" }
  | { action: "log"; message: string }
  | { action: "assert"; check: Assertion }
  /** `target` is a pool or a node; `null` leaves a figure as it is. Utilisation is 0–100. */
  | ({ action: "set_load"; target: string; of: "pool" | "node" } & ValueOf<Params["set_load"]>)
  | { action: "provider_fault"; target: string; fault: ApiFault }
  /** `null`: at once for `kill`, `restart` and `wipe`; `pause` always has a duration. */
  | ({ action: "control_plane" } & ValueOf<Params["control_plane"]>)
  | { action: "api_fault"; target: "kubernetes"; fault: KubeFault }
  /** What a person does in the cluster; `target` is a node, or a budget for `delete_budget`. */
  | { action: "kubectl"; target: string; step: KubectlWord };

/** `line` is where the event stands in the file, for messages. */
export type ScenarioEvent = Step & { atMs: number; line: number };

/** Which values pass. `null` is no bound; an open end excludes the bound itself. */
export type Bound = {
  min: number | null;
  max: number | null;
  minOpen: boolean;
  maxOpen: boolean;
  /** As written, with the sign that a bare number stands for. */
  text: string;
};

export function isWithin(bound: Bound, value: number): boolean {
  const { min, max, minOpen, maxOpen } = bound;
  if (Number.isNaN(value)) return false;
  if (min !== null && (minOpen ? value <= min : value < min)) return false;
  return max === null || (maxOpen ? value < max : value <= max);
}

/** What the product knows of a machine, by which nodes may be counted too. */
export const ATTRIBUTES = ["provider", "region", "instance_type", "gpu_type"] as const;
export type Attribute = (typeof ATTRIBUTES)[number];

/** Which nodes `node_count` counts. */
export type CountTarget =
  | { by: "all" }
  | { by: "status"; status: Status }
  | { by: "health"; health: Health }
  | { by: "pool" | "zone" | Attribute; name: string }
  | { by: "label"; key: string; name: string };

/** State of a Node object; `absent` = the machine has none, or none any more. */
export const KUBE_NODES = ["schedulable", "unschedulable", "absent"] as const;
export type KubeNodeWord = (typeof KUBE_NODES)[number];

/** Which pods are counted: those of a group that are ready, or all that are left on a node. */
export type PodTarget = { by: "group" | "node"; name: string };

/**
 * Measured over the whole run from the event log, the last three from what was written to the
 * cluster. Milliseconds for the two percentiles.
 */
export const MEASURES = [
  "detection_p99",
  "replace_p99",
  "launches",
  "terminations",
  "max_concurrent_unavailable",
  /** Pods that left because the product asked them to, under their budgets. */
  "pod_evictions",
  /** Pods that the product deleted past their budgets. */
  "pod_deletions",
  /** Ready pods that the product took although their budget needed them. */
  "budget_violations",
] as const;
export type Measure = (typeof MEASURES)[number];

export type Assertion = (
  | { type: "node_status"; target: string; expected: Status }
  | { type: "health_status"; target: string; expected: Health }
  | { type: "node_count"; target: CountTarget; expected: Bound }
  /** The names occur in this order among the node's events; others may stand between. */
  | { type: "event_order"; target: string; expected: string[] }
  | { type: "kube_node"; target: string; expected: KubeNodeWord }
  | { type: "pods"; target: PodTarget; expected: Bound }
  /** `target` is a selector such as `navarch_nodes{status="active"}`; the sum of its series. */
  | { type: "metric"; target: string; expected: Bound }
  | { type: Measure; expected: Bound }
) & { line: number };

export const STARTUP_PATTERNS = ["instant", "linear", "exponential", "wave"] as const;

export type Startup = {
  pattern: (typeof STARTUP_PATTERNS)[number];
  /** 0 for `instant`. */
  durationMs: number;
  batchSize: number;
  /** 0–100. */
  jitterPercent: number;
  coldStart:
    | { kind: "none" }
    | { kind: "uniform"; minMs: number; maxMs: number }
    | { kind: "normal"; meanMs: number; stdDevMs: number; minMs: number; maxMs: number | null };
};

export type Template = ValueOf<typeof TEMPLATE>;

/** Weights in sorted order of their names. */
export type Weighted = { name: string; weight: number }[];

export type FleetGen = {
  totalNodes: number;
  templates: Template[];
  providers: Weighted;
  regions: Weighted;
  /** Of every region in `regions`. */
  zones: Record<string, string[]>;
  startup: Startup;
};

export const CASCADE_SCOPES = ["rack", "zone", "region", "provider", "random"] as const;
export type CascadeScope = (typeof CASCADE_SCOPES)[number];
export const OUTAGE_SCOPES = ["zone", "region", "provider", "percentage"] as const;
export const CORRELATED_SCOPES = ["same_node", "same_rack", "same_zone", "random"] as const;

export type Cascading = ValueOf<typeof CASCADING> & { maxDelayMs: number };

export type Recovery = ValueOf<typeof RECOVERY> & {
  stdDevMs: number;
  /** 0: the cold start of the fleet's startup, else 30–60 s. */
  replaceColdStartMs: number;
};

export type Outage = {
  name: string;
  startMs: number;
  durationMs: number;
  failureType: FailureType;
} & (
  | { scope: "zone" | "region" | "provider"; target: string }
  /** 0–100 of the live nodes. */
  | { scope: "percentage"; percent: number }
);

export type Correlated = ValueOf<typeof CORRELATED> & {
  name: string;
  trigger: { xidCode: number } | { type: FailureType };
};

/** `null` sections are off: absent, or `enabled: false`. */
export type Chaos = ValueOf<typeof CHAOS> & {
  xids: { code: number; weight: number }[];
  failureTypes: { type: FailureType; weight: number }[];
  cascading: Cascading | null;
  recovery: Recovery | null;
  outages: Outage[];
  correlated: Correlated[];
};

/**
 * A condition on the report's figures. `name` is one of `THRESHOLDS` (`threshold.ts`), or
 * `failures_<type>`, or `xid_<code>`.
 */
export type Threshold = { name: string; bound: Bound; line: number };

export type Stress = ValueOf<typeof STRESS> & {
  /** Counted after the fleet has started. */
  durationMs: number;
  metricsIntervalMs: number;
  timeScale: number;
  fleetGen: FleetGen | null;
  chaos: Chaos | null;
  thresholds: Threshold[];
};

export type Scenario = {
  name: string;
  description: string | null;
  /** The listed nodes only; `generate.ts` makes the others. */
  fleet: SimNode[];
  /** In order of time; events of one time in the order of the file. */
  events: ScenarioEvent[];
  assertions: Assertion[];
  /** Not `null` = stress mode. */
  stress: Stress | null;
  /**
   * The product's configuration: `pools`, `providers`, `server` and `kubernetes` of the file. If
   * the file has no pools, one implicit pool `sim` without autoscaler.
   */
  config: Config;
  implicitPool: boolean;
  /** The Kubernetes cluster that the machines join, and what runs there; `null` = there is none. */
  cluster: ClusterSpec | null;
  /** Rules written in the file, instead of the built-in policy. */
  policy: Policy | null;
};

/** The pool that stands in where the file has none. */
export const IMPLICIT_POOL = "sim";
