/**
 * The metrics page. Counters and histograms are prom-client's; gauges are formatted from the fleet
 * at each scrape, so a node's series end with the node and memory does not grow with time. No
 * series means unknown; 0 means measured zero. The page of a large fleet is tens of MiB, so it is
 * made and sent in slices.
 */
import { Counter, Histogram, Registry } from "prom-client";
import type { MarkDraft } from "../../../schema/audit.ts";
import type { Finding } from "../../../schema/finding.ts";
import type { NodeId } from "../../../schema/id.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { QUARANTINE_SOURCES } from "../../../schema/quarantine.ts";
import type { Reconciler } from "../../runtime/loop.ts";
import type { Judged } from "../../core/fold/everything.ts";
import { CostPeaks, formatCost } from "./cost.ts";
import { formatHpas } from "./hpa.ts";
import { GpuXids, LabelValues } from "./gpu-xid.ts";
import { formatNodes } from "./node.ts";
import { formatNodeResources } from "./node-resource.ts";
import { formatPools } from "./pool.ts";
import { formatQueue } from "./queue.ts";
import { formatAgentPools } from "./agentpool.ts";
import { formatSlurm } from "./slurm.ts";
import { formatSafety } from "./safety.ts";
import { HELP, type MetricName } from "./help.ts";
import { Series, single } from "./series.ts";
import { formatTrust } from "./trust.ts";
import type { AgentPools } from "../../core/agentpool/service.ts";
import type { ConsoleCluster } from "../../core/console/cluster.ts";
import type { DemandQueue } from "../../core/console/demand.ts";
import type { Change, Store } from "../../core/store.ts";

/** What the page shows beside the fleet. */
type Beside = {
  agentPools: Pick<AgentPools, "pools">;
  console: Pick<ConsoleCluster, "knownHpas"> | null;
  queue: Pick<DemandQueue, "figures">;
  store: Pick<Store, "writerLoad">;
};

/** Steps of a replacement, timed from one recorded event to the next. */
const STEPS = [
  "node.cordoned",
  "node.draining",
  "node.drained",
  "node.terminated",
  "node.replaced",
] as const;

const MARK_LABELS = ["sink", "verb", "outcome"] as const;

/** Above every code of the driver: an agent that invents codes must not fill the memory. */
const XID_MAX = 999;

export class Metrics {
  private readonly registry = new Registry();
  /** Whether this process is the leader. */
  leads = true;
  /** Fingerprint of the key that signs orders. */
  key: string | null = null;
  /** Warnings about the configuration that was loaded; `null` = not counted. */
  configWarnings: number | null = null;
  /** Whether the configuration files have changed since. */
  configStale = false;
  /** Why `server.metrics_port` is not open; `null` = it is, or is not configured. */
  portProblem: string | null = null;
  private reconciler: Reconciler | null = null;
  private streams = 0;
  private readonly lastStep = new Map<string, { at: number }>();
  private readonly gpuXids = new GpuXids();
  private readonly costPeaks = new CostPeaks();
  private readonly xidLabels = new LabelValues(LIMIT.xidLabelsMax);
  private readonly matchCounts = new Map<string, number>();

  private readonly xid = this.counter("navarch_xid_errors_total", "pool", "xid");
  private readonly foreign = this.counter("navarch_foreign_findings_total", "pool");
  readonly quarantined = this.counter("navarch_store_quarantined_rows_total", "source");
  private readonly commands = this.counter("navarch_commands_issued_total", "type");
  private readonly replacements = this.counter("navarch_replacements_total", "pool", "outcome");
  private readonly steps = this.histogram(
    "navarch_replacement_step_seconds",
    [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600],
    "pool",
    "step",
  );
  private readonly isolation = this.histogram(
    "navarch_isolation_seconds",
    [0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 5, 15, 60, 600],
    "pool",
  );
  private readonly requests = this.counter(
    "navarch_provider_requests_total",
    "provider",
    "op",
    "class",
  );
  private readonly kubeWrites = this.counter(
    "navarch_kube_writes_total",
    "pool",
    "verb",
    "resource",
  );
  private readonly slurmCalls = this.counter("navarch_slurm_calls_total", "verb", "outcome");
  private readonly marks = this.counter("navarch_scheduler_marks_total", ...MARK_LABELS);
  private readonly slurmDrain = this.histogram(
    "navarch_slurm_drain_seconds",
    [0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 600],
    "pool",
  );
  private readonly reloads = this.counter("navarch_config_reloads_total", "outcome");
  private readonly faults = this.counter("navarch_simulation_faults_total", "kind");
  private readonly reports = this.counter("navarch_reports_total", "outcome");
  private readonly notices = this.counter("navarch_ignored_notices_total", "reason");
  private readonly ingest = this.histogram(
    "navarch_report_ingest_seconds",
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1],
  );
  private readonly matches = this.counter("navarch_policy_matches_total", "rule", "result");
  private readonly shadows = this.counter(
    "navarch_policy_rule_shadow_matches_total",
    "rule",
    "result",
  );
  private readonly policyErrors = this.counter("navarch_policy_errors_total", "rule");

  /** Every source exists from the start, so that `increase()` sees the first row. */
  constructor() {
    for (const source of QUARANTINE_SOURCES) this.quarantined.inc({ source }, 0);
    for (const verb of ["drain", "undrain"]) {
      for (const outcome of ["ok", "refused"]) this.marks.inc({ sink: "slurm", verb, outcome }, 0);
    }
  }

  private counter<L extends string>(name: MetricName, ...labelNames: L[]): Counter<L> {
    return new Counter({ name, help: HELP[name], labelNames, registers: [this.registry] });
  }

  private histogram<L extends string>(
    name: MetricName,
    buckets: number[],
    ...labelNames: L[]
  ): Histogram<L> {
    const registers = [this.registry];
    return new Histogram({ name, help: HELP[name], labelNames, buckets, registers });
  }

  /** Pre-creates what `increase()` needs to see from the first fault on. */
  attach(reconciler: Reconciler, xids: readonly number[]): void {
    this.reconciler = reconciler;
    for (const xid of xids) this.xidLabels.add(String(xid));
    for (const pool of reconciler.activeConfig().pools) {
      for (const xid of xids) this.xid.inc({ pool: pool.name, xid: String(xid) }, 0);
      for (const outcome of ["replaced", "failed"])
        this.replacements.inc({ pool: pool.name, outcome }, 0);
    }
  }

  countReport(outcome: "accepted" | "refused" | "throttled"): void {
    this.reports.inc({ outcome });
  }
  countIgnoredNotice(reason: "past" | "future"): void {
    this.notices.inc({ reason });
  }
  countFault(kind: string): void {
    this.faults.inc({ kind });
  }
  countReload(outcome: string): void {
    this.reloads.inc({ outcome });
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
  countKubeWrite(pool: string, verb: string, resource: string): void {
    this.kubeWrites.inc({ pool, verb, resource });
  }
  countSlurmCall(verb: string, outcome: string): void {
    this.slurmCalls.inc({ verb, outcome });
  }
  observeIngest(ms: number): void {
    this.ingest.observe(ms / 1_000);
  }

  /**
   * Called when the API server has acknowledged a node's cordon. Milliseconds since the first
   * report of what the node is unhealthy for, by this process's clock; `null` if it was cordoned
   * before, or for another reason.
   */
  observeMarked(id: string, now: number): number | null {
    const node = this.reconciler?.fleet().nodes.get(id as NodeId);
    if (node === undefined || node.cordon.product !== null) return null;
    const unhealthy = node.health.held.filter(({ judgement }) => judgement.result === "unhealthy");
    if (unhealthy.length === 0) return null;
    const ms = Math.max(0, now - Math.min(...unhealthy.map(({ firstAt }) => firstAt)));
    this.isolation.observe({ pool: node.pool ?? "" }, ms / 1_000);
    return ms;
  }

  /** Called once after each committed change. */
  committed(change: Change): void {
    const nodes = this.reconciler?.fleet().nodes;
    for (const { node, finding } of change.findings)
      this.countFinding(nodes?.get(node)?.pool ?? "", node, finding);
    for (const mark of change.marks) this.countMark(mark);
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
      this.gpuXids.forget(id);
    }
  }

  private countMark({ at, target, verb, code, mark: { sink } }: MarkDraft): void {
    this.marks.inc({ sink, verb: verb ?? "", outcome: code });
    const node = this.reconciler?.fleet().nodes.get(target as NodeId);
    if (verb !== "drain" || code !== "ok" || node === undefined) return;
    const unhealthy = node.health.held.filter(({ judgement }) => judgement.result === "unhealthy");
    if (unhealthy.length === 0) return;
    const ms = Math.max(0, at - Math.min(...unhealthy.map(({ firstAt }) => firstAt)));
    this.slurmDrain.observe({ pool: node.pool ?? "" }, ms / 1_000);
  }

  private countFinding(pool: string, node: string, finding: Finding): void {
    if (finding.foreign === true) {
      this.foreign.inc({ pool });
      return;
    }
    if (finding.kind !== "xid" || typeof finding.code !== "number") return;
    const xid = this.xidLabels.of(finding.code <= XID_MAX ? String(finding.code) : "other");
    this.xid.inc({ pool, xid });
    this.gpuXids.count({ pool, node, gpu: String(finding.gpu_index ?? ""), xid });
  }

  /** Counts the policy's decisions per rule; kept beside the counters for the API. */
  judged(judged: Judged): void {
    for (const { rule, result } of judged.matches) {
      this.matches.inc({ rule, result });
      this.matchCounts.set(rule, (this.matchCounts.get(rule) ?? 0) + 1);
    }
    for (const { rule, result } of judged.shadows) {
      this.shadows.inc({ rule, result });
      this.matchCounts.set(rule, (this.matchCounts.get(rule) ?? 0) + 1);
    }
    for (const { rule } of judged.errors) this.policyErrors.inc({ rule });
  }

  /** How many findings a rule has decided, or would have as a shadow, in this process's life. */
  matchCount(rule: string): number {
    return this.matchCounts.get(rule) ?? 0;
  }

  /**
   * The whole page in text format 0.0.4, in slices of bounded work and size. The list of nodes is
   * taken at its first slice; a reading is as new as its slice, and a node that ends meanwhile has
   * none from then on. All series of one metric are adjacent.
   */
  async *slices(beside: Beside | null = null): AsyncGenerator<string | Uint8Array> {
    yield `${await this.registry.metrics()}\n`;
    const { reconciler } = this;
    if (reconciler === null) return;
    yield* formatPools(reconciler);
    yield* formatSlurm(reconciler);
    if (beside !== null) {
      yield* formatAgentPools(beside.agentPools);
      yield* formatHpas(beside.console?.knownHpas() ?? null);
      yield* formatQueue(beside.queue.figures(), beside.store.writerLoad());
    }
    yield* formatSafety(reconciler);
    yield* formatCost(reconciler, this.costPeaks);
    yield* formatTrust(reconciler, this.key);
    yield* formatNodes(reconciler);
    yield* this.formatRest(reconciler);
    yield* this.gpuXids.print();
    const resources = reconciler.cluster().cluster?.resources() ?? null;
    if (resources !== null) yield* formatNodeResources(resources);
  }

  /** The gauges of the whole control plane. */
  private formatRest(reconciler: Reconciler): Uint8Array[] {
    const { name, hash } = reconciler.activePolicy().policy;
    const gauges = [
      single("navarch_agent_streams", this.streams),
      single("navarch_config_warnings", this.configWarnings),
      single("navarch_config_stale", this.configStale ? 1 : 0),
      single("navarch_simulation_enabled", reconciler.activeConfig().simulation.enabled ? 1 : 0),
      this.formatDegraded(reconciler),
      single("navarch_leader", this.leads ? 1 : 0),
      single("navarch_policy_info", 1, { name, hash }),
    ];
    return gauges.map((series) => series.take());
  }

  private formatDegraded(reconciler: Reconciler): Series {
    const series = new Series("navarch_degraded");
    series.add({ part: "activations" }, reconciler.failure() === null ? 0 : 1);
    series.add({ part: "metrics_port" }, this.portProblem === null ? 0 : 1);
    return series;
  }
}
