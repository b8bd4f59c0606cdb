/** Keys of a pool, of `defaults` and of `drain`. */
import * as v from "valibot";
import { LIMIT } from "../limit.ts";
import { MARKETS } from "../purchase.ts";
import { AUTOSCALERS } from "./autoscaler.ts";
import {
  choice,
  duration,
  flag,
  grace,
  integer,
  labels,
  mapping,
  number,
  own,
  share,
  taints,
  text,
  texts,
} from "./field.ts";
import { MACHINE } from "./provider.ts";
import { SPEND } from "./safety.ts";
import { POOL_SLURM } from "./slurm.ts";

/** Steps of a repair that a pool may opt into, mildest first. */
export const RUNGS = ["gpu-reset", "reboot", "replace"] as const;

/** How a node is emptied: as `kubectl drain` does, half an hour for the whole. */
export const DRAIN = {
  mode: choice("`evict` evicts pods; `wait` waits until they have ended.", ["evict", "wait"], {
    default: "evict",
  }),
  grace_period: grace("Time that a pod has to stop; -1 uses each pod's own.", { default: 300_000 }),
  ignore_daemonsets: flag("Leave pods of DaemonSets alone.", { default: true }),
  delete_emptydir_data: flag("Evict pods that have emptyDir volumes.", { default: true }),
  force: flag("Evict pods that no controller restarts.", { default: false }),
  timeout: duration("Limit of the whole drain; 0 means no limit.", {
    default: 1_800_000,
    or: "30m",
  }),
  fatal_timeout: duration("Drain limit for hardware that is proven broken.", {
    default: 600_000,
    or: "`timeout` where set, else 10m",
  }),
  on_timeout: choice(
    "`auto` terminates a node with broken hardware and holds any other.",
    ["auto", "terminate", "hold"],
    { default: "auto" },
  ),
  slurm_jobs: choice(
    "Jobs in Slurm at the deadline: `leave`, `requeue` or `signal`; then they have `grace_period`.",
    ["leave", "requeue", "signal"],
    { default: "leave" },
  ),
  slurm_signal: choice(
    "What `slurm_jobs: signal` sends to a job's script and steps.",
    ["TERM", "INT", "HUP", "USR1", "USR2"],
    { default: "TERM" },
  ),
  unknown_wait: duration("Wait when the node's workload is unknown.", { default: 60_000 }),
};

export const HEALTH = {
  unhealthy_threshold: integer("Unhealthy checks in a row before a node is repaired.", {
    min: 1,
    default: 2,
    map: "unhealthy_after",
  }),
  auto_replace: flag("Repair and replace unhealthy nodes without a person.", { default: true }),
  max_unavailable: share("Nodes of the pool that may be out at once: a number or a share.", {
    default: { kind: "percent", percent: 20 },
  }),
};

/** What a pool and `defaults` may both say. */
export const SHARED = {
  ssh_keys: texts("Names or texts of public keys that the provider puts on the instance.", {
    default: [],
    also: ["ssh_key_names"],
  }),
  health: mapping("When a node is repaired.", HEALTH),
  labels: labels("Labels of the pool's nodes, in Kubernetes too.", { default: {} }),
  replacement: choice(
    "`surge` buys and verifies the new node before the old one ends.",
    ["drain-first", "surge"],
    { default: "drain-first" },
  ),
  drain: mapping("How nodes are emptied.", DRAIN),
};

/** How a bare machine becomes a node; shared, too. */
export const BOOTSTRAP = {
  ssh_user: text("SSH user of the set-up.", { form: "user", default: "ubuntu" }),
  ssh_private_key_path: text("Private key for the set-up; required with `setup_commands`."),
  ssh_host_key: text(
    "How host keys are checked: `first-use`, `provider`, `known_hosts:PATH` or `insecure`.",
    { form: "host-key", default: "first-use" },
  ),
  become: choice("Use sudo for the set-up.", ["auto", "always", "never"], { default: "auto" }),
  push_agent: flag("Copy the agent binary to the machine over SSH.", { default: false }),
  ssh_port: integer("Port of the machine's SSH server.", { min: 1, max: 65_535, default: 22 }),
  ssh_jump: text("`[user@]host[:port]` of a jump host.", { form: "jump" }),
  bootstrap_attempts: integer("Set-up attempts before the instance is replaced.", {
    min: 1,
    max: 100,
    default: 3,
    as: "attempts",
  }),
  ip_wait_timeout: duration("Time limit for an instance to get an address.", {
    min: 1,
    default: 900_000,
  }),
  ssh_timeout: duration("Time limit for the first SSH connection.", { min: 1, default: 600_000 }),
  ssh_connect_timeout: duration("Limit of one attempt to connect.", { min: 1, default: 30_000 }),
  command_timeout: duration("Limit of one set-up command.", { min: 1, default: 300_000 }),
};

export const SCALING = {
  min_nodes: integer("Fewest nodes.", {
    ...{ min: 0, max: LIMIT.nodesMax, required: true },
    map: "../min_nodes",
  }),
  max_nodes: integer("Most nodes.", {
    ...{ min: 1, max: LIMIT.nodesMax, required: true },
    map: "../max_nodes",
  }),
  cooldown_period: duration("Pause between two changes of size by the autoscaler.", {
    default: 300_000,
    as: "cooldownMs",
    map: "../cooldown",
    also: ["../cooldown_period", "cooldown"],
  }),
  autoscaler: own("How the size follows the load.", "mapping", {
    map: "../autoscaling",
    also: ["../autoscaler", "autoscaling"],
    inner: () => AUTOSCALERS,
  }),
};

const MARKET = "How instances are paid for.";
const RESERVATION = "Reservation or capacity block that `reserved` takes instances from.";
const MAX_PRICE = "Highest price of one instance; an unknown price is too high.";
const AN_HOUR = { unit: "US dollars an hour", min: 0, since: "0.1.0" } as const;

/** One place where a pool's instances may be bought. */
export const REF = {
  name: text("Provider.", { required: true }),
  priority: integer("Lower is tried first.", { min: 0, or: "position in the list" }),
  weight: integer("Share of the purchases with `round-robin` and `weighted`.", {
    min: 1,
    max: 1_000,
    default: 1,
    or: "1",
  }),
  regions: texts("Regions, in order.", { or: "the pool's" }),
  zones: texts("Zones, in order.", { or: "the pool's" }),
  instance_type: text("Instance type as this provider calls it.", { or: "the pool's" }),
  instance_types: texts("Types that do the same work, most wanted first; replaces the one above.", {
    or: "`instance_type` alone",
  }),
  market: choice(MARKET, MARKETS, { or: "the pool's" }),
  reservation: text(RESERVATION, { or: "the pool's", since: "0.1.0" }),
  max_price: number(MAX_PRICE, { ...AN_HOUR, or: "the pool's" }),
};

/** With the machines' settings, which the pool's own go without. */
const ENTRY = { ...REF, ...MACHINE };

/** What stands in a pool beside what concerns the set-up. */
export const BODY = {
  provider: own("Provider of the pool's instances; or `providers` for several.", "text"),
  providers: own(
    "List of providers, or `adopt: true` for machines that are not bought.",
    "list of mappings",
    { inner: () => ENTRY },
  ),
  instance_type: text("Abstract type such as `h100-8x`, or the provider's.", {
    or: "required to buy",
  }),
  gpus: integer("GPUs that each node must have; 0 expects none.", {
    min: 0,
    max: LIMIT.gpusPerNodeMax,
    or: "what the type is known to have",
  }),
  region: text("Region for a single provider."),
  zones: texts("Zones for a single provider.", { default: [] }),
  market: choice(MARKET, MARKETS, { default: "on-demand", since: "0.1.0" }),
  reservation: text(RESERVATION, { since: "0.1.0" }),
  max_price: number(MAX_PRICE, { ...AN_HOUR, or: "no limit" }),
  strategy: choice(
    "Which place is tried first, see `docs/buying.md`.",
    ["priority", "cost", "availability", "round-robin", "weighted"],
    { default: "priority" },
  ),
  adopt: flag("Existing machines that join count towards the pool's size.", { default: false }),
  ...SHARED,
  taints: taints("Taints of the pool's Nodes in Kubernetes, as `key=value:NoSchedule`.", {
    default: [],
    since: "0.1.0",
  }),
  scaling: own("How many nodes there are.", "mapping", { inner: () => SCALING }),
  repair: own("Repair steps that the pool opts into.", "mapping", {
    inner: () => ({
      ladder: texts(
        "Repair steps, mildest first: `reboot`, `replace`; `gpu-reset` is skipped in this version.",
        { of: RUNGS, or: "replace, after one reboot for faults of links or fabric" },
      ),
    }),
  }),
  spend: mapping("Ceilings of the pool.", SPEND),
  slurm: mapping("Names of the pool in Slurm.", POOL_SLURM, { since: "0.1.0" }),
  setup_commands: own(
    "Shell commands or `template: NAME`, run over SSH on a new machine.",
    "list of text or `template: NAME`",
  ),
  setup_templates: own(
    "Built-in set-ups: `agent`, `kubernetes-join`, `slurm-node`.",
    "list of text",
  ),
};
export const POOL = { ...BODY, ...MACHINE, ...BOOTSTRAP };

export const DEFAULTS = {
  ...SHARED,
  health: mapping("When a node is repaired.", {
    ...HEALTH,
    unhealthy_threshold: v.pipe(
      HEALTH.unhealthy_threshold,
      v.metadata({ also: ["../unhealthy_threshold"] }),
    ),
    auto_replace: v.pipe(HEALTH.auto_replace, v.metadata({ also: ["../auto_replace"] })),
  }),
  ...BOOTSTRAP,
  cooldown_period: duration("As a pool's `scaling.cooldown_period`.", {
    as: "cooldownMs",
    also: ["cooldown"],
  }),
};
