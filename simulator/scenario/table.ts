/** The keys of a scenario beside its events and those of the configuration. */
import {
  choice,
  duration,
  flag,
  integer,
  number,
  own,
  prose,
  word,
  words,
} from "../../schema/config/field.ts";
import { LIMIT } from "../../schema/limit.ts";
import { FAILURE_TYPES } from "./action.ts";
import { CASCADE_SCOPES, CORRELATED_SCOPES, OUTAGE_SCOPES, STARTUP_PATTERNS } from "./scenario.ts";

/** Default: the machine of every upstream file. */
export const GPU_TYPE = "NVIDIA H100 80GB HBM3";
const share = { min: 0, max: 1, default: 1 } as const;
const gpus = { min: 1, max: LIMIT.gpusPerNodeMax } as const;
const nodes = { min: 1, max: LIMIT.nodesMax } as const;
/** Failures a minute per thousand nodes: sixty a second and node is more than any agent sends. */
const RATE_MAX = 3_600_000;
/** A simulated year, longer than any useful run. */
const DURATION_MAX_MS = 366 * 86_400_000;

export const NODE = {
  id: word("Name of the machine.", { required: "" }),
  provider: word("Its provider.", { default: "gcp" }),
  region: word("Its region.", { default: "us-central1" }),
  zone: word("Its zone.", { or: "zone `a` of the region" }),
  instance_type: word("Its instance type.", { default: "generic-gpu" }),
  gpu_count: integer("Its GPUs.", { ...gpus, default: 8 }),
  gpu_type: word("Name of its GPUs.", { default: GPU_TYPE }),
  labels: words("Its labels.", { default: {} }),
  rack: word("Its rack.", { or: "eight neighbours of a zone share one" }),
  pool: word("Its pool.", { or: "the only one there is" }),
};

export const TEMPLATE = {
  name: word("Name, a part of the ids of its nodes.", { required: "" }),
  weight: number("Its share among the templates.", {
    min: 0,
    above: 0,
    required: "a number above 0",
  }),
  gpu_count: integer("GPUs of each node.", { ...gpus, required: "GPUs of each node" }),
  gpu_type: word("Name of the GPUs.", { default: GPU_TYPE }),
  instance_type: word("Instance type.", { or: "by provider" }),
  labels: words("Labels of the nodes.", { default: {} }),
  price_per_hour: number("Price in US dollars; nothing depends on it.", { min: 0 }),
};

/** Without `pattern` it is linear, and the other keys still count. */
export const STARTUP = {
  pattern: choice("How the machines start.", STARTUP_PATTERNS, { or: "linear" }),
  duration: duration("How long until all have started.", {
    or: "30s `linear`, 2m `exponential`, 5m `wave`, 0 `instant`",
  }),
  batch_size: integer("Machines of a wave.", { min: 0, max: LIMIT.nodesMax, or: "100" }),
  jitter_percent: number("How much pauses differ.", {
    min: 0,
    max: 100,
    or: "0; 10 without a pattern",
  }),
  cold_start_min: duration("Shortest time to boot."),
  cold_start_max: duration("Longest time to boot."),
  cold_start_mean: duration("Mean of a normal distribution of times to boot."),
  cold_start_stddev: duration("Its standard deviation."),
};

export const FLEET_GEN = {
  total_nodes: integer("Size of the fleet.", { ...nodes, required: "how many nodes to make" }),
  templates: own("What nodes are made of.", "list of mappings", {
    or: "required",
    inner: () => TEMPLATE,
  }),
  providers: own("Providers.", "mapping from names to weights", {
    or: "aws 35, gcp 50, lambda 15",
  }),
  regions: own("Regions.", "mapping from names to weights", { or: "five regions" }),
  zones: own("Zones of each region.", "mapping from regions to lists", { or: "`a` to `d`" }),
  startup: own("How the fleet starts.", "mapping", { inner: () => STARTUP }),
};

export const FAILURE_WEIGHT = {
  type: choice("Kind of failure.", FAILURE_TYPES, { required: FAILURE_TYPES.join(", ") }),
  weight: number("Its share.", { min: 0, required: "a number" }),
};

export const CASCADING = {
  probability: number("Probability that a failure spreads.", share),
  max_depth: integer("Longest chain of failures.", { min: 1, max: 100, default: 3 }),
  min_delay: duration("Shortest pause between two failures of a chain.", { default: 0 }),
  max_delay: duration("Longest such pause.", { or: "`min_delay` + 1s" }),
  scope: choice("Where failures spread.", CASCADE_SCOPES, { default: "random" }),
  max_affected_percent: number("Fraction of the scope that is hit at most, 0 to 1.", {
    min: 0,
    max: 100,
    default: 0.1,
    as: "maxAffected",
  }),
};

export const RECOVERY = {
  probability: number("Probability that a failure ends by itself.", share),
  mean_time: duration("Mean time until then.", { default: 300_000 }),
  std_dev: duration("Its standard deviation.", { or: "a quarter of `mean_time`" }),
  replace_fatal: flag("Replace machines whose failure never ends.", { default: false }),
  replace_cold_start: duration("Time to boot of a replacement.", { or: "as the fleet started" }),
};

export const OUTAGE = {
  name: word("Name.", { or: "by number" }),
  start_time: duration("When it starts.", { default: 0, as: "startMs" }),
  duration: duration("How long it lasts.", { min: 1, required: "how long it lasts" }),
  scope: choice("What it hits.", OUTAGE_SCOPES, { required: `one of ${OUTAGE_SCOPES.join(", ")}` }),
  target: word("Name of what it hits, or a percentage.", {
    required: "a name, or a number for percentage",
  }),
  failure_type: choice("How machines fail.", FAILURE_TYPES, { required: FAILURE_TYPES.join(", ") }),
};

export const CORRELATED = {
  name: word("Name.", { or: "by number" }),
  trigger: own("XID code or kind of failure that triggers it.", "text", { or: "required" }),
  response: choice("Failure that follows.", FAILURE_TYPES, { required: FAILURE_TYPES.join(", ") }),
  probability: number("Probability that it follows.", share),
  delay: duration("Pause before it.", { default: 0 }),
  scope: choice("Where it follows.", CORRELATED_SCOPES, { default: "same_node" }),
};

const enabled = flag("Without it, the section is off.", { default: false });

export const CHAOS = {
  enabled,
  failure_rate: number("Failures a minute for every thousand nodes.", {
    min: 0,
    max: RATE_MAX,
    default: 0,
  }),
  xid_distribution: own("XID codes of failures.", "mapping from codes to weights", {
    or: "13 codes of one weight",
  }),
  failure_types: own("Kinds of failures.", "list of mappings", {
    or: "`xid_error`",
    inner: () => FAILURE_WEIGHT,
  }),
  cascading: own("Failures that spread.", "mapping", { inner: () => ({ enabled, ...CASCADING }) }),
  recovery: own("Failures that end.", "mapping", { inner: () => ({ enabled, ...RECOVERY }) }),
  scheduled_outages: own("Outages.", "list of mappings", { inner: () => OUTAGE }),
  correlated_failures: own("Failures that others cause.", "list of mappings", {
    inner: () => CORRELATED,
  }),
};

export const STRESS = {
  duration: duration("Time after the fleet has started.", { max: DURATION_MAX_MS, or: "10m" }),
  metrics_interval: duration("How often the timeline takes a sample, at least 100ms.", {
    max: DURATION_MAX_MS,
    or: "5s",
  }),
  seed: integer("What chance begins with; 0 is another each time.", { default: 0 }),
  time_scale: number("Scenario time for each second under `--time real`.", {
    min: 0,
    max: 1_000_000,
    or: "1",
  }),
  report_file: word("File for the report as JSON."),
  html_report_file: word("File for the report as a page."),
  log_file: word("File for the log."),
  fleet_gen: own("A generated fleet.", "mapping", { inner: () => FLEET_GEN }),
  chaos: own("What fails by chance.", "mapping", { inner: () => CHAOS }),
  thresholds: own("Bounds on figures of the report, such as `detection_p99: 20s`.", "mapping"),
};

/** Of one list of the cluster. */
export const REPLICAS_MAX = 100_000;

/** `none`: it is not restarted. */
export const POD_KINDS = ["Deployment", "StatefulSet", "DaemonSet", "none"] as const;

export const POD_GROUP = {
  name: word("Name of the pods.", { required: "" }),
  kind: choice("What owns them; `none` starts none again.", POD_KINDS, { default: "Deployment" }),
  replicas: integer("How many; a DaemonSet has one on each Node.", {
    min: 1,
    max: REPLICAS_MAX,
    or: "1",
  }),
  pool: word("Only on machines of this pool, whose queue they are while they wait."),
  gpus: integer("GPUs of each.", { min: 0, max: LIMIT.gpusPerNodeMax, default: 0 }),
  start: duration("From a machine being chosen to the pod being ready.", {
    min: 0,
    default: 5_000,
  }),
  stop: duration("How long a pod takes to end; the grace period ends it at the latest.", {
    min: 0,
    default: 1_000,
  }),
  // What Kubernetes gives a pod that names none.
  grace: duration("Grace period.", { min: 1_000, default: 30_000 }),
  annotations: words("Annotations of the pods.", { default: {} }),
};

export const BUDGET = {
  name: word("Name.", { or: "as `pods`" }),
  pods: word("Pods that it is over.", { required: "the name of one of cluster.pods" }),
  min_available: own("Pods that must be ready: a count, or a share as `50%`.", "count or share"),
  max_unavailable: own("Pods that may be missing; instead of `min_available`.", "count or share"),
};

export const SCENARIO = {
  name: word("Name of the scenario.", { required: "" }),
  description: prose("What it shows."),
  events: own("What happens when.", "list of mappings"),
  assertions: own("What must hold at the end.", "list of mappings"),
  fleet: own("Machines, one by one.", "list of mappings", { inner: () => NODE }),
  stress: own("A generated fleet, chance, and bounds.", "mapping", { inner: () => STRESS }),
  cluster: own("What runs in the Kubernetes cluster.", "mapping", {
    inner: () => ({
      pods: own("Groups of pods that are alike.", "list of mappings", { inner: () => POD_GROUP }),
      budgets: own("Disruption budgets.", "list of mappings", { inner: () => BUDGET }),
    }),
  }),
};
