/** The gauges of HorizontalPodAutoscalers, for the autoscaling dashboard. */
import { HPA_KINDS } from "../../../schema/console/hpa.ts";
import type { Hpa } from "../../core/console/hpa.ts";
import type { HpaLog } from "../../core/console/hpa-log.ts";
import { Series } from "./series.ts";

/** `null`: this process does not lead, or the cluster cannot be read. */
export function formatHpas(log: HpaLog | null): Uint8Array[] {
  const replicas = new Series("navarch_hpa_replicas");
  const ratios = new Series("navarch_hpa_metric_ratio");
  const events = new Series("navarch_hpa_events_total", "counter");
  for (const hpa of log?.timeline.all() ?? []) {
    const { namespace, name, target: service, current, desired, min, max } = hpa;
    for (const [state, count] of Object.entries({ current, desired, min, max })) {
      if (count !== null) replicas.add({ namespace, hpa: name, service, state }, count);
    }
    for (const [type, metric, ratio] of ratiosOf(hpa)) {
      ratios.add({ namespace, hpa: name, service, type, metric }, ratio);
    }
  }
  for (const { namespace, service, counts } of log?.counts() ?? []) {
    for (const kind of HPA_KINDS) events.add({ namespace, service, kind }, counts[kind]);
  }
  return [replicas, ratios, events].map((series) => series.take());
}

/** Of metrics with one name, such as those of two containers, the one that asks for most. */
function ratiosOf({ metrics }: Hpa): [type: string, metric: string, ratio: number][] {
  const found = new Map<string, [string, string, number]>();
  for (const { type, metric, value, threshold } of metrics) {
    const key = `${type}/${metric}`;
    const ratio = value / threshold;
    if (ratio >= (found.get(key)?.[2] ?? 0)) found.set(key, [type, metric, ratio]);
  }
  return [...found.values()];
}
