/** What a run comes to: the control plane's last word, the record, and the verdict over both. */
import type { NodeView } from "../../schema/api.ts";
import { xid } from "../../health/catalog/catalog.ts";
import type { Report, ReportNode, Summary } from "./report.ts";
import { isWithin, type Scenario, type SimNode, type Threshold } from "../scenario/scenario.ts";
import type { Member } from "../stack/population.ts";
import type { Stack } from "../stack/stack.ts";
import type { Api } from "./api.ts";
import { type Checked, detections, wordOf } from "./check.ts";
import { isCounted } from "./detection.ts";
import { figuresOf } from "./figure.ts";
import type { NodeRecord, RunRecord } from "./record.ts";
import { formatGo, quantile, quantilesOf } from "./span.ts";

export type RunResult = {
  /** Without `wall`, which only the caller knows. */
  report: Omit<Report, "wall">;
  metrics: string;
  config: unknown;
  activations: number;
};

export type CloseFrom = {
  scenario: Scenario;
  seed: number;
  semantics: string;
  thresholds: readonly Threshold[];
  stack: Stack;
  record: RunRecord;
  api: Api;
  nodes: readonly SimNode[];
  checks: Checked[];
  errors: string[];
  begunAtMs: number;
  startedMs: number;
  durationMs: number;
  rssMb: () => number;
  aborted: boolean;
};

/** A failure this young may still be on its way to the control plane. */
const DETECTION_GRACE_MS = 30_000;
const TOP_XIDS = 10;

export async function closeRun(from: CloseFrom): Promise<RunResult> {
  const { scenario, record, stack, api } = from;
  record.close();
  const metrics = (await api.metrics()) ?? "";
  const config = (await api.call("GET", "/v1/config"))?.body ?? null;
  const views = await viewsOf(api);
  const rules = (await api.call("GET", "/v1/policy"))?.body as PolicyView | undefined;
  const summary = summaryOf(from);
  const failures = failuresOf(record);
  const at = (ms: number): string => new Date(from.begunAtMs + ms).toISOString();
  const stress = scenario.stress;
  const report: Omit<Report, "wall"> = {
    name: scenario.name,
    description: scenario.description,
    start_time: at(0),
    end_time: at(from.durationMs),
    duration: formatGo(from.durationMs),
    duration_ms: from.durationMs,
    seed: from.seed,
    outcome: "passed",
    errors: from.errors,
    configuration: {
      total_nodes: from.nodes.length,
      failure_rate_per_min: stress?.chaos?.failureRate ?? 0,
      cascading_enabled: stress?.chaos?.cascading != null,
      recovery_enabled: stress?.chaos?.recovery != null,
      health_semantics: from.semantics,
    },
    summary,
    failures,
    timeline: record.timeline.map((one) => ({
      timestamp: at(one.atMs),
      elapsed_seconds: one.atMs / 1_000,
      total_nodes: one.total,
      healthy_nodes: one.healthy,
      unhealthy_nodes: one.unhealthy,
      degraded_nodes: one.degraded,
      failures_total: one.failures,
      recoveries_total: one.recoveries,
      active_outages: one.outages,
    })),
    nodes: [...stack.population.all()].map((member) =>
      nodeOf(member, record.nodes.get(member.name), views.get(member.nodeId), at),
    ),
    policy_rule_hits: [...record.rules]
      .map(([name, { hits, result }]) => {
        const priority = rules?.rules.findIndex((rule) => rule.name === name) ?? -1;
        return { name, hits, result, priority };
      })
      .sort((a, b) => b.hits - a.hits || (a.name < b.name ? -1 : 1)),
    logs_directory: "logs",
    assertions: from.checks,
    thresholds: [],
  };
  report.thresholds = from.aborted ? [] : judgeThresholds(from, report);
  const isGood = [...report.assertions, ...report.thresholds].every(({ passed }) => passed);
  report.outcome = from.aborted
    ? "interrupted"
    : isGood && from.errors.length === 0
      ? "passed"
      : "failed";
  return { report, metrics, config, activations: stack.plane.activations };
}

type PolicyView = { rules: { name: string }[] };

async function viewsOf(api: Api): Promise<Map<string, NodeView>> {
  const live = (await api.nodes()) ?? [];
  const ended = (await api.nodes("?status=terminated")) ?? [];
  return new Map([...ended, ...live].map((view) => [view.node_id, view]));
}

function nodeOf(
  member: Member,
  record: NodeRecord | undefined,
  view: NodeView | undefined,
  at: (ms: number) => string,
): ReportNode {
  const { node, name } = member;
  return {
    node_id: name,
    provider: node.provider,
    region: node.region,
    zone: node.zone,
    instance_type: node.instanceType,
    gpu_count: node.gpuCount,
    gpu_type: node.gpuType,
    status: view === undefined ? "absent" : wordOf(view.status),
    health: view === undefined ? "absent" : wordOf(view.health_status),
    failure_count: record?.failures ?? 0,
    recovery_count: record?.recoveries ?? 0,
    cold_start_delay: member.coldStartMs,
    events: (record?.events ?? []).map((event) => ({
      timestamp: at(event.atMs),
      type: event.type,
      status: event.status,
      message: event.message,
      failure_type: event.failureType,
      xid_code: event.xidCode,
      policy_rule: event.rule,
      rule_result: event.result,
    })),
    log_file: `logs/${name}.log`,
  };
}

function summaryOf(from: CloseFrom): Summary {
  const { record, stack, durationMs, startedMs } = from;
  const settled = record.timeline.filter(({ atMs }) => atMs >= startedMs);
  const healthy = settled.map((one) => one.healthy);
  const percents = settled.flatMap((one) =>
    one.total === 0 ? [] : [(100 * one.healthy) / one.total],
  );
  const sum = healthy.reduce((all, one) => all + one, 0);
  const latencies = record.latencies.toSorted((a, b) => a - b);
  const total = latencies.reduce((all, one) => all + one, 0);
  const silent = [...stack.population.all()].filter(
    ({ name, startedMono }) =>
      startedMono !== null && !(record.nodes.get(name)?.kinds.includes("node.registered") ?? false),
  );
  const counted = record.injections.filter(isCounted);
  const missed = counted.filter(
    (one) => one.detectedMs === null && durationMs - one.atMs >= DETECTION_GRACE_MS,
  );
  let duplicates = 0;
  for (const { control } of stack.clouds.values()) {
    const { overlaps, doubles } = control.reality();
    duplicates += overlaps.length + doubles.length;
  }
  return {
    nodes_started: record.started,
    nodes_failed_to_start: silent.length,
    peak_healthy_nodes: Math.max(0, ...record.timeline.map((one) => one.healthy)),
    min_healthy_nodes: healthy.length === 0 ? 0 : Math.min(...healthy),
    avg_healthy_nodes: healthy.length === 0 ? 0 : round(sum / healthy.length),
    min_healthy_percent: percents.length === 0 ? 0 : round(Math.min(...percents)),
    total_failures: record.injections.length,
    total_recoveries: record.recoveries,
    total_outages: record.outages,
    avg_latency_ms: latencies.length === 0 ? 0 : round(total / latencies.length),
    max_latency_ms: latencies.at(-1) ?? 0,
    p99_latency_ms: quantile(latencies, 0.99) ?? 0,
    detection_ms: quantilesOf(detections(record)),
    replace_ms: quantilesOf(record.replaceMs),
    launches: record.launches,
    terminations: record.terminations,
    duplicate_launches: duplicates,
    undrained_terminations: record.undrained,
    max_concurrent_unavailable: record.unavailableMax,
    frozen_seconds: record.frozenMs / 1_000,
    detected: counted.filter((one) => one.detectedMs !== null).length,
    undetected: missed.length,
    false_positives: record.falsePositives,
  };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function failuresOf(record: RunRecord): Report["failures"] {
  const byType: Record<string, number> = {};
  const byXid: Record<string, number> = {};
  let depth = 0;
  for (const { failure, depth: own } of record.injections) {
    byType[failure.type] = (byType[failure.type] ?? 0) + 1;
    depth = Math.max(depth, own);
    if (failure.xidCode === null) continue;
    byXid[failure.xidCode] = (byXid[failure.xidCode] ?? 0) + 1;
  }
  const top = Object.entries(byXid)
    .map(([code, count]) => ({ code: Number(code), count }))
    .sort((a, b) => b.count - a.count || a.code - b.code)
    .slice(0, TOP_XIDS);
  return {
    by_type: byType,
    by_xid: byXid,
    cascading_failures: record.cascades,
    correlated_failures: record.injections.filter(({ cause }) => cause === "correlated").length,
    cascade_depth: depth,
    top_xid_codes: top.map(({ code, count }) => ({
      code,
      name: xid(code)?.name ?? `XID ${code}`,
      count,
      fatal: FATAL.has(record.xidResults.get(code) ?? ""),
    })),
  };
}

/** What the product's policy made of the code, not a table of ours. */
const FATAL = new Set(["unhealthy"]);

function judgeThresholds(from: CloseFrom, report: Omit<Report, "wall">): Checked[] {
  const all = [...(from.scenario.stress?.thresholds ?? []), ...from.thresholds];
  const figures = figuresOf(from, report);
  return all.map(({ name, bound }) => {
    const value = figures(name);
    const actual = value === null ? "nothing measured" : String(round(value));
    return { name, expected: bound.text, actual, passed: value !== null && isWithin(bound, value) };
  });
}
