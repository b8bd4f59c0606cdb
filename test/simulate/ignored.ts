/**
 * Every field of a scenario, with the shipped scenario that fails if the field is ignored. To
 * ignore a field is to give it, after reading, the value that the engine would use if nobody had
 * written one (or, where nothing else can show that it is read, another value).
 */
import { type Assertion, type Scenario } from "../../simulator/scenario/scenario.ts";

/** A path through a scenario: `[]` is each of a list, `events:x` the events of one action. */
export type Ignored = {
  path: string;
  scenario: string;
  /** What stands there while it is ignored; a function gets what was written and its place. */
  value: unknown;
};

/** Removes what is in a list, where that is what ignoring it means. */
export const DROP = Symbol("drop");

const row = (path: string, scenario: string, value: unknown): Ignored => {
  return { path, scenario, value };
};
/** An action that is ignored is an event that never happens. */
const act = (action: string, scenario: string): Ignored => row(`events:${action}`, scenario, DROP);

const NOBODY = "nobody-of-that-name";
const renamed = (was: unknown): unknown => `not-${String(was)}`;
const other = (was: unknown): unknown => (was === "node-1" ? "node-2" : "node-1");

export const FIELDS: readonly Ignored[] = [
  row("fleet[].id", "basic-fleet", (_: unknown, at: number) => `renamed-${at}`),
  row("fleet[].provider", "feature-identity", "gcp"),
  row("fleet[].region", "feature-identity", "us-central1"),
  row("fleet[].zone", "feature-identity", "us-central1-a"),
  row("fleet[].instanceType", "feature-identity", "generic-gpu"),
  row("fleet[].gpuCount", "feature-identity", 8),
  row("fleet[].gpuType", "feature-identity", "NVIDIA H100 80GB HBM3"),
  row("fleet[].labels", "feature-identity", {}),
  row("fleet[].pool", "feature-identity", "train"),
  row("fleet[].rack", "feature-correlated-alone-rack", "one"),

  act("start_fleet", "basic-fleet"),
  act("stop_fleet", "feature-stop-fleet"),
  act("inject_failure", "gpu-failure"),
  act("recover_failure", "feature-recover"),
  act("issue_command", "feature-commands"),
  act("wait_for_status", "reboot-ladder"),
  act("wait", "feature-stop-fleet"),
  act("log", "feature-load-queue"),
  act("set_load", "feature-load-queue"),
  act("provider_fault", "provider-failover"),
  act("control_plane", "feature-plane-pause"),
  row("events[].atMs", "feature-plane-kill", 0),
  row("events:inject_failure.target", "gpu-failure", other),
  row("events:inject_failure.failure.type", "feature-failure-instance", "temperature"),
  row("events:inject_failure.failure.xidCode", "gpu-failure", 31),
  row("events:inject_failure.failure.gpuIndex", "feature-failure-hard", 0),
  row("events:inject_failure.failure.temperature", "feature-failure-mild", 95),
  row("events:recover_failure.target", "feature-recover", "node-one"),
  row("events:recover_failure.type", "feature-recover", null),
  row("events:issue_command.target", "cordon-drain", other),
  row("events:issue_command.command", "feature-commands", "cordon"),
  row("events:wait_for_status.target", "basic-fleet", NOBODY),
  row("events:wait_for_status.status", "reboot-ladder", "draining"),
  row("events:wait_for_status.health", "feature-recover", "degraded"),
  row("events:wait_for_status.event", "reboot-ladder", "node.silent"),
  row("events:wait_for_status.timeoutMs", "reboot-ladder", 1),
  row("events:assert.check.target", "feature-failure-mild", "node-xid"),
  row("events:assert.check.expected", "feature-failure-mild", "unhealthy"),
  row("events:assert.check.type", "feature-failure-mild", "node_status"),
  row("events:set_load.target", "feature-load-queue", NOBODY),
  row("events:set_load.utilization", "feature-load-reactive", null),
  row("events:set_load.pendingJobs", "feature-load-queue", null),
  row("events:set_load.of", "feature-load-queue", "node"),
  row("events:provider_fault.target", "provider-failover", "aws"),
  row("events:provider_fault.fault.kind", "feature-provider-fault-blind", "capacity"),
  row("events:provider_fault.fault.durationMs", "feature-provider-fault-part", null),
  row("events:provider_fault.fault.rate", "feature-provider-fault-part", 1),
  row("events:control_plane.step", "feature-plane-restart", "pause"),
  row("events:control_plane.durationMs", "feature-plane-kill", null),

  act("api_fault", "feature-api-fault"),
  row("events:api_fault.fault.kind", "feature-api-fault", "watch"),
  row("events:api_fault.fault.durationMs", "feature-api-fault", null),
  row("events:api_fault.fault.rate", "feature-api-fault-part", 1),
  row("events:api_fault.fault.latencyMs", "feature-api-fault-part", null),
  act("kubectl", "kubernetes-uncordon"),
  row("events:kubectl.target", "kubernetes-uncordon", other),
  row("events:kubectl.step", "kubernetes-uncordon", "cordon"),

  row("cluster", "kubernetes-drain-pdb", null),
  row("cluster.pods[].name", "feature-kube-pods", renamed),
  row("cluster.pods[].kind", "feature-kube-pods", "Deployment"),
  row("cluster.pods[].replicas", "feature-kube-pods", 1),
  row("cluster.pods[].pool", "feature-kube-pods", null),
  row("cluster.pods[].gpus", "feature-kube-pods", 0),
  row("cluster.pods[].startMs", "feature-kube-pods", 5_000),
  row("cluster.pods[].stopMs", "feature-kube-pods", 1_000),
  row("cluster.pods[].graceMs", "feature-kube-pods", 30_000),
  row("cluster.pods[].annotations", "feature-kube-pods", {}),
  row("cluster.budgets[].name", "feature-kube-budgets", renamed),
  row("cluster.budgets[].pods", "feature-kube-budgets", "none-free"),
  row("cluster.budgets[].minAvailable", "feature-kube-budgets", 0),
  row("cluster.budgets[].maxUnavailable", "feature-kube-budgets", 0),

  row("policy", "feature-policy", null),
  row("stress.durationMs", "feature-recovery", 1_000),
  row("stress.metricsIntervalMs", "feature-fleet-gen", 10_000),
  row("stress.fleetGen.totalNodes", "feature-fleet-gen", 100),
  row("stress.fleetGen.templates[].name", "feature-fleet-gen", "h100"),
  row("stress.fleetGen.templates[].weight", "feature-fleet-gen", 1),
  row("stress.fleetGen.templates[].gpuCount", "feature-fleet-gen", 8),
  row("stress.fleetGen.templates[].gpuType", "feature-fleet-gen", "NVIDIA H100 80GB HBM3"),
  row("stress.fleetGen.templates[].instanceType", "feature-fleet-gen", null),
  row("stress.fleetGen.templates[].labels", "feature-fleet-gen", {}),
  row("stress.fleetGen.providers[].name", "feature-fleet-gen", "gcp"),
  row("stress.fleetGen.providers[].weight", "feature-fleet-gen", 1),
  row("stress.fleetGen.regions[].name", "feature-fleet-gen", "us-central1"),
  row("stress.fleetGen.regions[].weight", "feature-fleet-gen", 1),
  row("stress.fleetGen.zones", "feature-fleet-gen", { "eu-north-1": ["a"], "eu-south-1": ["b"] }),
  row("stress.fleetGen.startup.pattern", "feature-startup-wave", "instant"),
  row("stress.fleetGen.startup.durationMs", "feature-startup-linear", 2_000),
  row("stress.fleetGen.startup.batchSize", "feature-startup-wave", 100),
  row("stress.fleetGen.startup.coldStart", "feature-cold-start-uniform", { kind: "none" }),
  row("stress.fleetGen.startup.coldStart.minMs", "feature-cold-start-uniform", 0),
  row("stress.fleetGen.startup.coldStart.maxMs", "feature-cold-start-uniform", 90_000),
  row("stress.fleetGen.startup.coldStart.meanMs", "feature-cold-start-normal", 15_000),
  row("stress.fleetGen.startup.coldStart.stdDevMs", "feature-cold-start-normal", 0),

  row("stress.chaos.enabled", "feature-chaos-off", true),
  row("stress.chaos.failureRate", "feature-failure-rate", 10),
  row("stress.chaos.xids[].code", "feature-xid-distribution", 79),
  row("stress.chaos.xids[].weight", "feature-xid-distribution", 1),
  row("stress.chaos.failureTypes[].type", "feature-failure-types", "xid_error"),
  row("stress.chaos.failureTypes[].weight", "feature-failure-types", 1),
  row("stress.chaos.cascading", "feature-cascade-zone", null),
  row("stress.chaos.cascading.probability", "feature-cascade-never", 1),
  row("stress.chaos.cascading.maxDepth", "feature-cascade-depth", 3),
  row("stress.chaos.cascading.minDelayMs", "feature-cascade-delay", 0),
  row("stress.chaos.cascading.maxDelayMs", "feature-cascade-delay", 60_000),
  row("stress.chaos.cascading.scope", "feature-cascade-rack", "random"),
  row("stress.chaos.cascading.maxAffected", "feature-cascade-zone", 0.1),
  row("stress.chaos.recovery", "feature-recovery", null),
  row("stress.chaos.recovery.probability", "feature-recovery-never", 1),
  row("stress.chaos.recovery.meanTimeMs", "feature-recovery", 600_000),
  row("stress.chaos.recovery.stdDevMs", "feature-recovery-spread", 0),
  row("config.pools[].health.autoReplace", "feature-replace-fatal", false),
  row("stress.chaos.recovery.replaceColdStartMs", "feature-replace-fatal", 5_000),
  row("stress.chaos.outages[].startMs", "feature-outage-zone", 3_600_000),
  row("stress.chaos.outages[].durationMs", "feature-outage-zone", 3_600_000),
  row("stress.chaos.outages[].failureType", "feature-outage-percentage", "temperature"),
  row("stress.chaos.outages[].scope", "feature-outage-zone", "provider"),
  row("stress.chaos.outages[].target", "feature-outage-zone", NOBODY),
  row("stress.chaos.outages[].percent", "feature-outage-percentage", 100),
  row("stress.chaos.correlated", "feature-correlated-type", []),
  row("stress.chaos.correlated[].trigger", "feature-correlated-same-node", { xidCode: 79 }),
  row("stress.chaos.correlated[].response", "feature-correlated-same-node", "xid_error"),
  row("stress.chaos.correlated[].probability", "feature-correlated-type", 1),
  row("stress.chaos.correlated[].delayMs", "feature-correlated-late", 0),
  row("stress.chaos.correlated[].scope", "feature-correlated-alone-zone", "random"),
  row("stress.thresholds[].bound", "feature-failure-rate", { min: 1e9, max: 1e9, text: "never" }),
  row("stress.thresholds[].name", "feature-failure-rate", "total_outages"),
  ...(
    ["node_status", "health_status", "node_count", "metric", "launches", "terminations"] as const
  ).map((type) => wrong(type, "feature-assertions")),
  ...(["kube_node", "pods", "pod_evictions", "pod_deletions", "budget_violations"] as const).map(
    (type) => wrong(type, "kubernetes-pdb-never"),
  ),
  wrong("event_order", "feature-assertions"),
  wrong("max_concurrent_unavailable", "feature-assertions"),
  wrong("detection_p99", "feature-detection"),
  wrong("replace_p99", "feature-detection"),
];

/** The same condition with an expectation that does not hold: whoever reads it must fail. */
function wrong(type: Assertion["type"], scenario: string): Ignored {
  const never = { min: 1e9, max: 1e9, minOpen: false, maxOpen: false, text: "never" };
  const words: Partial<Record<Assertion["type"], unknown>> = {
    node_status: "draining",
    health_status: "degraded",
    kube_node: "no such word",
    event_order: ["node.replaced", "node.silent"],
  };
  return row(`assertions:${type}.expected`, scenario, words[type] ?? never);
}

/** Fields that no verdict can depend on, and what shows that they are read instead. */
export const ELSEWHERE: Readonly<Record<string, string>> = {
  name: "the head of the report: catalog.test.ts",
  description: "validate and list: catalog.test.ts",
  implicitPool: "no field of a file: follows from pools",
  config: "the product's own sections: feature-server, and every story with pools",
  "stress.seed": "another seed is another run: simulate.test.ts",
  "stress.timeScale": "real time only: simulate.test.ts",
  "stress.reportFile": "written files: simulate.test.ts",
  "stress.htmlReportFile": "written files: simulate.test.ts",
  "stress.logFile": "written files: simulate.test.ts",
  "stress.fleetGen.templates[].pricePerHour": "upstream's; nothing depends on it",
  "stress.fleetGen.startup.jitterPercent": "spread of starts: chaos.test.ts",
  "stress.chaos.outages[].name": "event log only",
  "stress.chaos.correlated[].name": "event log only",
  "events:log.message": "console only",
  "events:inject_failure.failure.message": "kernel's words: simulate.test.ts",
  "events:issue_command.reason": "audit only",
  "events:issue_command.timeoutMs": "handed to the product as it is: route tests",
  "events:issue_command.force": "handed to the product as it is: route tests",
  "events:issue_command.args": "upstream's, accepted and unused",
  "events:set_load.runningJobs": "part of the queue's depth, which only agents of a node show",
  "stress.chaos.recovery.replaceFatal": "becomes the pool's auto_replace while it is read",
  "events:api_fault.target": "there is one API: read.test.ts",
};

/** The same scenario with one field ignored. */
export function ignore(scenario: Scenario, { path, value }: Ignored): Scenario {
  const [head = "", ...rest] = path.split(".");
  return change(scenario, head, rest, value) as Scenario;
}

type Bag = Record<string, unknown>;

function change(bag: unknown, head: string, rest: string[], value: unknown): unknown {
  if (bag === null || typeof bag !== "object") return bag;
  const [, key = "", list = "", tag = null] = /^(\w+)(\[\])?(?::(\w+))?$/.exec(head) ?? [];
  const old = (bag as Bag)[key];
  if (list === "" && tag === null) return { ...bag, [key]: step(old, rest, value, 0) };
  if (!Array.isArray(old)) return bag;
  const isMeant = (one: Bag): boolean =>
    tag === null || one["action"] === tag || one["type"] === tag;
  const changed = old.map((one: Bag, at) => (isMeant(one) ? step(one, rest, value, at) : one));
  return { ...bag, [key]: changed.filter((one) => one !== DROP) };
}

function step(old: unknown, rest: string[], value: unknown, at: number): unknown {
  const [head, ...more] = rest;
  if (head !== undefined) return change(old, head, more, value);
  if (typeof value === "function") return (value as (was: unknown, at: number) => unknown)(old, at);
  return value;
}
