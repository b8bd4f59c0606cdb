/** The report's figures by the names that thresholds use. Durations in milliseconds. Pure. */
import type { Report } from "./report.ts";
import type { CloseFrom } from "./result.ts";

/** `null` if the figure was not measured; every threshold on it then fails. */
export function figuresOf(
  from: CloseFrom,
  report: Omit<Report, "wall">,
): (name: string) => number | null {
  const { summary, failures, timeline } = report;
  const cold = [...from.stack.population.all()].map((member) => member.coldStartMs);
  const coldSum = cold.reduce((all, one) => all + one, 0);
  const figures: Record<string, number | null> = {
    ...Object.fromEntries(
      Object.entries(summary).filter((entry): entry is [string, number] => {
        return typeof entry[1] === "number";
      }),
    ),
    startup_time: from.record.registeredMs,
    cold_start_mean: cold.length === 0 ? null : coldSum / cold.length,
    cold_start_min: cold.length === 0 ? null : Math.min(...cold),
    cold_start_max: cold.length === 0 ? null : Math.max(...cold),
    cascading_failures: failures.cascading_failures,
    correlated_failures: failures.correlated_failures,
    cascade_depth: failures.cascade_depth,
    active_outages: from.record.activeOutages,
    avg_latency: summary.avg_latency_ms,
    max_latency: summary.max_latency_ms,
    p99_latency: summary.p99_latency_ms,
    detection_p50: summary.detection_ms.p50,
    detection_p99: summary.detection_ms.p99,
    detection_max: summary.detection_ms.max,
    replace_p50: summary.replace_ms.p50,
    replace_p99: summary.replace_ms.p99,
    replace_max: summary.replace_ms.max,
    samples: timeline.length,
    rss_mb: from.rssMb(),
  };
  return (name) => {
    const type = /^failures_(.+)$/.exec(name)?.[1];
    if (type !== undefined) return failures.by_type[type] ?? 0;
    const code = /^xid_(\d+)$/.exec(name)?.[1];
    if (code !== undefined) return failures.by_xid[code] ?? 0;
    return figures[name] ?? null;
  };
}
