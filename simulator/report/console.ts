/** What a person sees of a run on the terminal. Pure. */
import { formatGo } from "../run/span.ts";
import type { Progress } from "../run/runner.ts";
import { formatDuration } from "../../schema/duration.ts";
import type { Scenario } from "../scenario/scenario.ts";
import type { Report } from "../run/report.ts";

export function formatHead(scenario: Scenario, nodes: number, seed: number, time: string): string {
  const { stress } = scenario;
  const lines = [`Scenario   ${scenario.name}`];
  if (stress !== null) {
    lines.push(`Duration   ${formatDuration(stress.durationMs)} after the start`);
    lines.push(`Rate       ${stress.chaos?.failureRate ?? 0} failures/min per 1000 nodes`);
    lines.push(`Cascading  ${stress.chaos?.cascading == null ? "off" : "on"}`);
  }
  lines.push(`Nodes      ${nodes}`, `Seed       ${seed}`, `Time       ${time}`);
  return `${lines.join("\n")}\n`;
}

export function formatProgress(progress: Progress): string {
  const { elapsedMs, totalMs, healthy, failures, cascades, recoveries } = progress;
  const whole = totalMs === null || totalMs === 0 ? null : totalMs;
  const left = whole === null ? "" : ` left ${formatDuration(secondsOf(whole - elapsedMs))}`;
  return (
    `elapsed ${formatDuration(secondsOf(elapsedMs))}${left}  healthy ${healthy}` +
    `  failures ${failures}  cascades ${cascades}  recoveries ${recoveries}`
  );
}

function secondsOf(ms: number): number {
  return Math.max(0, Math.round(ms / 1_000) * 1_000);
}

const span = (ms: number | null): string => (ms === null ? "–" : `${(ms / 1_000).toFixed(2)} s`);

export function formatResult(report: Report, path: string): string {
  const { summary, failures, wall } = report;
  const rows: [string, string | number][] = [
    ["duration", `${formatGo(report.duration_ms)} in ${wall.seconds.toFixed(1)} s`],
    ["nodes started", `${summary.nodes_started} (${summary.nodes_failed_to_start} failed)`],
    ["healthy, lowest", summary.min_healthy_nodes],
    ["healthy, mean", `${summary.avg_healthy_nodes} (highest ${summary.peak_healthy_nodes})`],
    ["failures", `${summary.total_failures} (${failures.cascading_failures} cascading)`],
    ["recoveries", summary.total_recoveries],
    ["outages", summary.total_outages],
    ["detected", `${summary.detected} (${summary.undetected} missed)`],
    ["detection", `p50 ${span(summary.detection_ms.p50)}, p99 ${span(summary.detection_ms.p99)}`],
    ["false alarms", summary.false_positives],
    ["replacement", `p50 ${span(summary.replace_ms.p50)}, p99 ${span(summary.replace_ms.p99)}`],
    ["launches", `${summary.launches}, terminations ${summary.terminations}`],
    ["report latency", `mean ${summary.avg_latency_ms} ms, p99 ${summary.p99_latency_ms} ms`],
  ];
  const out = rows.map(([label, value]) => `  ${label.padEnd(16)} ${value}`);
  const xids = failures.top_xid_codes.map(
    (one) => `  XID ${String(one.code).padEnd(4)} ${String(one.count).padStart(6)}  ${one.name}`,
  );
  if (xids.length > 0) out.push("", "XID codes", ...xids);
  const rules = report.policy_rule_hits
    .slice(0, 10)
    .map((one) => `  ${one.name.padEnd(24)} ${String(one.hits).padStart(6)}  ${one.result}`);
  if (rules.length > 0) out.push("", "Rules that decided", ...rules);
  const checks = [...report.assertions, ...report.thresholds];
  if (checks.length > 0) {
    const passed = checks.filter((one) => one.passed).length;
    out.push("", `Assertions: ${passed} of ${checks.length} passed`);
    for (const { name, expected, actual } of checks.filter((one) => !one.passed)) {
      out.push(`  FAILED ${name}: expected ${expected}, found ${actual}`);
    }
  }
  for (const error of report.errors) out.push(`  FAILED ${error}`);
  return ["", "Result", ...out, "", `${report.outcome}: ${path}`, ""].join("\n");
}
