/**
 * The report of a run. Keys are a public contract: upstream's readers keep working. Times are RFC
 * 3339 of the run's own clock; only `wall` is real time.
 */
import type { Checked } from "./check.ts";
import type { Quantiles } from "./span.ts";

export type ReportEvent = {
  timestamp: string;
  type: string;
  status: string | null;
  message: string;
  failure_type: string | null;
  xid_code: number | null;
  policy_rule: string | null;
  rule_result: string | null;
};

export type ReportNode = {
  node_id: string;
  provider: string;
  region: string;
  zone: string;
  instance_type: string;
  gpu_count: number;
  gpu_type: string;
  /** The control plane's status at the end; `absent` if the node is unknown. */
  status: string;
  health: string;
  failure_count: number;
  recovery_count: number;
  cold_start_delay: number;
  events: ReportEvent[];
  log_file: string;
};

export type TimelinePoint = {
  timestamp: string;
  elapsed_seconds: number;
  total_nodes: number;
  healthy_nodes: number;
  unhealthy_nodes: number;
  degraded_nodes: number;
  failures_total: number;
  recoveries_total: number;
  active_outages: number;
};

export type Summary = {
  nodes_started: number;
  nodes_failed_to_start: number;
  peak_healthy_nodes: number;
  min_healthy_nodes: number;
  avg_healthy_nodes: number;
  min_healthy_percent: number;
  total_failures: number;
  total_recoveries: number;
  total_outages: number;
  avg_latency_ms: number;
  max_latency_ms: number;
  p99_latency_ms: number;
  detection_ms: Quantiles;
  replace_ms: Quantiles;
  launches: number;
  terminations: number;
  duplicate_launches: number;
  undrained_terminations: number;
  max_concurrent_unavailable: number;
  frozen_seconds: number;
  detected: number;
  undetected: number;
  false_positives: number;
};

export type Report = {
  name: string;
  description: string | null;
  start_time: string;
  end_time: string;
  /** As documented, such as `10m0s`. */
  duration: string;
  duration_ms: number;
  seed: number;
  outcome: "passed" | "failed" | "interrupted";
  errors: string[];
  configuration: {
    total_nodes: number;
    failure_rate_per_min: number;
    cascading_enabled: boolean;
    recovery_enabled: boolean;
    health_semantics: string;
  };
  summary: Summary;
  failures: {
    by_type: Record<string, number>;
    by_xid: Record<string, number>;
    cascading_failures: number;
    correlated_failures: number;
    cascade_depth: number;
    top_xid_codes: { code: number; name: string; count: number; fatal: boolean }[];
  };
  timeline: TimelinePoint[];
  nodes: ReportNode[];
  policy_rule_hits: { name: string; hits: number; result: string; priority: number }[];
  logs_directory: string;
  assertions: Checked[];
  thresholds: Checked[];
  /** The only part that differs between two runs of one file, seed and build. */
  wall: { started_at: string; seconds: number; rss_mb: number; activations: number };
};
