/**
 * The gauges of the demand queue and of the store's writer. Their names are those of the guide's
 * HorizontalPodAutoscaler and of its rule for Prometheus Adapter, so they have no prefix of ours.
 */
import type { QueueFigures } from "../../core/console/demand.ts";
import type { WriterLoad } from "../../core/store.ts";
import { Series, single } from "./series.ts";

/** `null`: this process does not lead and has no figures. Empty depth is a measured zero. */
export function formatQueue(figures: QueueFigures | null, load: WriterLoad): Uint8Array[] {
  const [depth, alias] = (["coordinator_queue_depth", "kai_coordinator_queue_depth"] as const).map(
    (name) => {
      const series = new Series(name);
      const rows = figures?.depth ?? [];
      for (const { tasks, class: kind, priority, pool } of rows) {
        series.add({ class: kind, priority, pool }, tasks);
      }
      const none = { class: "batch", priority: "medium", pool: "" };
      if (figures !== null && rows.length === 0) series.add(none, 0);
      return series;
    },
  );
  const rest = [
    single("coordinator_queue_processing_rate", figures && figures.perSecond),
    single("ml_processing_time_seconds", figures && figures.meanSeconds),
    single("ml_processing_backlog_seconds", figures && figures.backlogSeconds),
    single("db_connection_utilization", load.busyPercent),
    single("db_connection_wait_time", load.waitSeconds),
  ];
  return [depth, alias, ...rest].flatMap((series) => (series === undefined ? [] : [series.take()]));
}
