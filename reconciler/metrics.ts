/**
 * What Prometheus sees (`navarch/api.md` B9, promises N78–N84). Counters and histograms live in
 * prom-client; gauges are printed from the fleet at each scrape, so a node's series end with the
 * node and memory does not grow with time (invariant H9). Absence means not known; 0 means measured
 * zero.
 */
import { Counter, Histogram, Registry } from "prom-client";
import { NODE_STATUSES } from "../schema/api.ts";
import type { Finding } from "../schema/finding.ts";
import type { GpuSample } from "../schema/gpu.ts";
import type { Node } from "../schema/node.ts";
import { staleness, viewScaling } from "./demand/view.ts";
import { countPool } from "./view/pool.ts";
import { healthStatusOf, instanceStateOf, statusOf } from "./view/status.ts";
import type { Reconciler } from "./loop.ts";
import type { Judged } from "./fold/everything.ts";
import type { Change } from "./store/store.ts";
import { desiredOf } from "./fleet.ts";

/** Steps of a replacement, timed from one recorded event to the next. */
const STEPS = [
  "node.cordoned",
  "node.draining",
  "node.drained",
  "node.terminated",
  "node.replaced",
] as const;

export class Metrics {
  private readonly registry = new Registry();
  private reconciler: Reconciler | null = null;
  private streams = 0;
  private readonly lastStep = new Map<string, { at: number }>();
  private readonly xid: Counter<"pool" | "xid">;
  private readonly gpuXid = new Map<string, number>();
  private readonly foreign: Counter<"pool">;
  private readonly commands: Counter<"type">;
  private readonly replacements: Counter<"pool" | "outcome">;
  private readonly steps: Histogram<"pool" | "step">;
  private readonly requests: Counter<"provider" | "op" | "class">;
  private readonly reports: Counter<"outcome">;
  private readonly ingest: Histogram;
  private readonly matches: Counter<"rule" | "result">;
  private readonly matchCounts = new Map<string, number>();
  private readonly policyErrors: Counter<"rule">;

  constructor() {
    const registers = [this.registry];
    this.xid = new Counter({
      name: "navarch_xid_errors_total",
      help: "GPU XID errors detected.",
      labelNames: ["pool", "xid"],
      registers,
    });
    this.foreign = new Counter({
      name: "navarch_foreign_findings_total",
      help: "Findings about devices that are not the node's own; never judged.",
      labelNames: ["pool"],
      registers,
    });
    this.commands = new Counter({
      name: "navarch_commands_issued_total",
      help: "Orders given by people.",
      labelNames: ["type"],
      registers,
    });
    this.replacements = new Counter({
      name: "navarch_replacements_total",
      help: "Nodes that left because of a fault, by how it ended.",
      labelNames: ["pool", "outcome"],
      registers,
    });
    this.steps = new Histogram({
      name: "navarch_replacement_step_seconds",
      help: "Time from the step before to this one.",
      labelNames: ["pool", "step"],
      buckets: [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600],
      registers,
    });
    this.requests = new Counter({
      name: "navarch_provider_requests_total",
      help: "Calls to providers by answer.",
      labelNames: ["provider", "op", "class"],
      registers,
    });
    this.reports = new Counter({
      name: "navarch_reports_total",
      help: "Agent reports taken in or refused.",
      labelNames: ["outcome"],
      registers,
    });
    this.ingest = new Histogram({
      name: "navarch_report_ingest_seconds",
      help: "From a report's arrival to its acknowledgement.",
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1],
      registers,
    });
    this.matches = new Counter({
      name: "navarch_policy_matches_total",
      help: "Findings by the rule that decided them.",
      labelNames: ["rule", "result"],
      registers,
    });
    this.policyErrors = new Counter({
      name: "navarch_policy_errors_total",
      help: "Conditions that could not be evaluated, by rule.",
      labelNames: ["rule"],
      registers,
    });
  }

  /** Pre-creates what `increase()` needs to see from the first fault on (promise N81). */
  attach(reconciler: Reconciler, xids: readonly number[]): void {
    this.reconciler = reconciler;
    for (const pool of reconciler.activeConfig().pools) {
      for (const xid of xids) this.xid.inc({ pool: pool.name, xid: String(xid) }, 0);
      for (const outcome of ["replaced", "failed"])
        this.replacements.inc({ pool: pool.name, outcome }, 0);
    }
  }

  countReport(): void {
    this.reports.inc({ outcome: "accepted" });
  }
  countRefusedReport(): void {
    this.reports.inc({ outcome: "refused" });
  }
  countCommand(type: string): void {
    this.commands.inc({ type });
  }
  countStream(by: 1 | -1): void {
    this.streams += by;
  }
  countRequest(provider: string, op: string, outcome: string): void {
    this.requests.inc({ provider, op, class: outcome });
  }
  observeIngest(ms: number): void {
    this.ingest.observe(ms / 1_000);
  }

  /** Told of each committed change, once. */
  committed(change: Change): void {
    const nodes = this.reconciler?.fleet().nodes;
    for (const { node, finding } of change.findings)
      this.countFinding(nodes?.get(node)?.pool ?? "", node, finding);
    for (const event of change.events) {
      if (event.node === null) continue;
      const pool = event.pool ?? "";
      if (event.kind === "node.replaced") this.replacements.inc({ pool, outcome: "replaced" });
      if (event.kind === "node.failed") this.replacements.inc({ pool, outcome: "failed" });
      if (event.kind === "node.unhealthy" || event.kind === "node.silent")
        this.lastStep.set(event.node, { at: event.at });
      const step = STEPS.find((one) => one === event.kind);
      const before = this.lastStep.get(event.node);
      if (step === undefined || before === undefined) continue;
      this.steps.observe(
        { pool, step: step.slice("node.".length) },
        Math.max(0, event.at - before.at) / 1_000,
      );
      if (step === "node.replaced") this.lastStep.delete(event.node);
      else this.lastStep.set(event.node, { at: event.at });
    }
    for (const id of change.removedNodes) {
      this.lastStep.delete(id);
      for (const key of this.gpuXid.keys())
        if (key.includes(`node_id="${id}"`)) this.gpuXid.delete(key);
    }
  }

  private countFinding(pool: string, node: string, finding: Finding): void {
    if (finding.foreign === true) {
      this.foreign.inc({ pool });
      return;
    }
    if (finding.kind !== "xid" || typeof finding.code !== "number") return;
    this.xid.inc({ pool, xid: String(finding.code) });
    const gpu = finding.gpu_index ?? "";
    const key = labels({ pool, node_id: node, gpu_index: String(gpu), xid: String(finding.code) });
    this.gpuXid.set(key, (this.gpuXid.get(key) ?? 0) + 1);
  }

  /** What the policy decided, per rule; kept beside the counter so that the API can show it. */
  judged(judged: Judged): void {
    for (const { rule, result } of judged.matches) {
      this.matches.inc({ rule, result });
      this.matchCounts.set(rule, (this.matchCounts.get(rule) ?? 0) + 1);
    }
    for (const { rule } of judged.errors) this.policyErrors.inc({ rule });
  }

  /** How many findings a rule has decided in this process's life. */
  matchCount(rule: string): number {
    return this.matchCounts.get(rule) ?? 0;
  }

  /** The whole page in text format 0.0.4. */
  async printAsync(): Promise<string> {
    return `${await this.registry.metrics()}\n${this.print()}`;
  }

  /** The gauges, from the fleet as it is now. */
  print(): string {
    if (this.reconciler === null) return "";
    const page = new Page();
    printPools(page, this.reconciler);
    printDemand(page, this.reconciler);
    printNodes(page, this.reconciler);
    page.gauge("navarch_agent_streams", "Agents connected by WebSocket.").add({}, this.streams);
    const broken = this.reconciler.failure() !== null ? 1 : 0;
    const blind = (this.reconciler.lastSight()?.blind.length ?? 0) > 0 ? 1 : 0;
    const frozen = page.gauge(
      "navarch_safety_frozen",
      "1 while nothing destructive may start in the pool.",
    );
    for (const pool of this.reconciler.activeConfig().pools)
      frozen.add({ pool: pool.name }, Math.max(broken, blind));
    page.gauge("navarch_leader", "1 if this process acts.").add({}, 1);
    const { policy } = this.reconciler.activePolicy();
    page
      .gauge("navarch_policy_info", "The active policy.")
      .add({ name: policy.name, hash: policy.hash }, 1);
    const perGpu = page.counter("navarch_gpu_xid_errors_total", "GPU XID errors by GPU.");
    for (const [key, count] of this.gpuXid) perGpu.raw(key, count);
    return page.toString();
  }
}

function printPools(page: Page, reconciler: Reconciler): void {
  const total = page.gauge(
    "navarch_nodes_total",
    "Registered nodes that are not terminated, per pool.",
  );
  const healthy = page.gauge("navarch_nodes_healthy", "Healthy or degraded nodes, per pool.");
  const unhealthy = page.gauge("navarch_nodes_unhealthy", "Unhealthy or silent nodes, per pool.");
  const byStatus = page.gauge("navarch_nodes", "Nodes by status.");
  const desired = page.gauge("navarch_pool_desired_nodes", "Wanted size of the pool.");
  const instances = page.gauge("navarch_instances", "Instances by state.");
  const { nodes, pools } = reconciler.fleet();
  const byPool = new Map<string, Node[]>();
  for (const pool of reconciler.activeConfig().pools) byPool.set(pool.name, []);
  for (const node of nodes.values()) if (node.pool !== null) byPool.get(node.pool)?.push(node);
  for (const pool of reconciler.activeConfig().pools) {
    const own = byPool.get(pool.name) ?? [];
    const count = countPool(own);
    total.add({ pool: pool.name }, count.total);
    healthy.add({ pool: pool.name }, count.healthy);
    unhealthy.add({ pool: pool.name }, count.unhealthy);
    desired.add({ pool: pool.name }, desiredOf(pool, pools.get(pool.name)));
    const statuses = new Map<string, number>(NODE_STATUSES.map((s) => [s, 0]));
    const states = new Map<string, number>();
    for (const node of own) {
      if (node.phase.kind === "gone") continue;
      const status = statusOf(node, pool.health.unhealthyThreshold);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      const state = instanceStateOf(node);
      states.set(state, (states.get(state) ?? 0) + 1);
    }
    for (const [status, n] of statuses)
      byStatus.add({ pool: pool.name, status: short(status, "NODE_STATUS_") }, n);
    for (const [state, n] of states)
      instances.add({ pool: pool.name, state: short(state, "INSTANCE_STATE_") }, n);
  }
}

/** A queue that is not known has no series, except the one that says so. */
function printDemand(page: Page, reconciler: Reconciler): void {
  const pending = page.gauge("navarch_pool_pending_jobs", "Jobs that wait for the pool.");
  const depth = page.gauge("navarch_pool_queue_depth", "Jobs that wait for the pool or run in it.");
  const stale = page.gauge("navarch_pool_demand_stale", "1 while the pool's queue is not known.");
  const now = reconciler.lastSight()?.now;
  if (now === undefined) return;
  const { server, pools } = reconciler.activeConfig();
  for (const pool of pools) {
    const state = reconciler.fleet().pools.get(pool.name);
    const lost = staleness(pool, state, { server, now });
    if (lost === null) continue;
    const seen = viewScaling(pool, state, { server, standing: null, now });
    stale.add({ pool: pool.name }, lost);
    if (seen.pending_jobs !== null) pending.add({ pool: pool.name }, seen.pending_jobs);
    if (seen.queue_depth !== null) depth.add({ pool: pool.name }, seen.queue_depth);
  }
}

const GPU_GAUGES: readonly [string, string, keyof GpuSample][] = [
  ["navarch_node_gpu_temperature_celsius", "GPU temperature.", "temperature_celsius"],
  ["navarch_node_gpu_utilization_percent", "GPU utilisation, 0 to 100.", "utilization_percent"],
  ["navarch_node_gpu_memory_used_bytes", "GPU memory in use.", "memory_used_bytes"],
  ["navarch_node_gpu_power_watts", "GPU power draw.", "power_watts"],
];

function printNodes(page: Page, reconciler: Reconciler): void {
  const gpus = page.gauge("navarch_node_gpu_count", "GPUs that the node's agent lists.");
  const health = page.gauge(
    "navarch_node_health_status",
    "1 healthy, 0.5 degraded, 0 unhealthy; no series while unknown.",
  );
  const perProvider = new Map<string, number>();
  const gauges = GPU_GAUGES.map(([name, help, key]) => ({ series: page.gauge(name, help), key }));
  for (const node of reconciler.fleet().nodes.values()) {
    if (node.phase.kind === "gone" || node.agent === null) continue;
    const pool = node.pool ?? "";
    const count = node.agent.inventory.gpus.length;
    gpus.add({ pool, node_id: node.id }, count);
    const provider = node.instance?.provider ?? node.agent.inventory.provider ?? "";
    perProvider.set(provider, (perProvider.get(provider) ?? 0) + count);
    const status = short(healthStatusOf(node), "HEALTH_STATUS_");
    const value = { healthy: 1, degraded: 0.5, unhealthy: 0 }[status];
    if (value !== undefined) health.add({ pool, node_id: node.id, status }, value);
    for (const gpu of reconciler.presence.sample(node.id)?.gpus ?? []) {
      const key = labels({
        pool,
        node_id: node.id,
        gpu_index: String(gpu.index),
        gpu_uuid: gpu.uuid,
      });
      for (const gauge of gauges) {
        const reading = gpu[gauge.key];
        if (typeof reading === "number") gauge.series.raw(key, reading);
      }
    }
  }
  const total = page.gauge("navarch_gpus_total", "GPUs by provider.");
  for (const [provider, n] of perProvider) total.add({ provider }, n);
}

function short(name: string, prefix: string): string {
  return name.slice(prefix.length).toLowerCase();
}

function labels(from: Record<string, string>): string {
  const parts = Object.entries(from).map(
    ([key, value]) =>
      `${key}="${value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n")}"`,
  );
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

/** Lines of one metric. */
class Series {
  readonly lines: string[];
  private readonly name: string;
  constructor(name: string, help: string, type: string) {
    this.name = name;
    this.lines = [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
  }
  add(from: Record<string, string>, value: number): void {
    this.raw(labels(from), value);
  }
  raw(key: string, value: number): void {
    this.lines.push(`${this.name}${key} ${value}`);
  }
}

class Page {
  private readonly series: Series[] = [];
  gauge(name: string, help: string): Series {
    return this.start(name, help, "gauge");
  }
  counter(name: string, help: string): Series {
    return this.start(name, help, "counter");
  }
  private start(name: string, help: string, type: string): Series {
    const one = new Series(name, help, type);
    this.series.push(one);
    return one;
  }
  toString(): string {
    return `${this.series.map((one) => one.lines.join("\n")).join("\n")}\n`;
  }
}
