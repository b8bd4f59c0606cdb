/**
 * Answers what the API server's front proxy asks of `custom.metrics.k8s.io`. The API server has
 * authenticated and authorised the user before it proxies, and nobody else is let in: the caller
 * has shown the proxy's certificate (`server/custom-metrics-port.ts`).
 */
import type { QueueDepth } from "../../schema/console/queue.ts";
import type { MetricPod } from "../core/console/custom-metric.ts";
import { metricValues, readMetricPath, sumDepth } from "../core/console/custom-metric.ts";
import { parseSelector } from "../core/console/metric-selector.ts";

export type MetricPods =
  | { kind: "ok"; pods: MetricPod[] }
  | { kind: "failed"; status: number; message: string };

export type CustomMetricsFrom = {
  pods(namespace: string, labelSelector: string): Promise<MetricPods>;
  depth(): Promise<readonly QueueDepth[]>;
  /** Mean seconds of the attempts that completed in the last minutes; 0 if none did. */
  meanSeconds(): Promise<number>;
  wallMs(): number;
};

export type MetricAnswer = { status: number; body: object };

const REASONS: Readonly<Record<number, string>> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
};

/** An error in the form of Kubernetes. */
export function metricStatus(code: number, message: string): MetricAnswer {
  const reason = REASONS[code] ?? "ServiceUnavailable";
  const status = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure" };
  return { status: code, body: { ...status, message, reason, code } };
}

export async function answerMetrics(url: URL, from: CustomMetricsFrom): Promise<MetricAnswer> {
  const path = readMetricPath(url.pathname);
  if (path.kind === "document") return { status: 200, body: path.body };
  if (path.kind === "absent") return metricStatus(404, "the server has no such metric or path");
  const { ask } = path;
  const wanted = parseSelector(url.searchParams.get("metricLabelSelector") ?? "");
  if (wanted === null) return metricStatus(400, "metricLabelSelector: not a label selector");
  if (ask.metric !== "coordinator_queue_depth" && wanted.length > 0) {
    return metricStatus(404, `${ask.metric} has no labels`);
  }
  const found = await from.pods(ask.namespace, url.searchParams.get("labelSelector") ?? "");
  if (found.kind === "failed") return metricStatus(found.status, found.message);
  const whole =
    ask.metric === "coordinator_queue_depth"
      ? sumDepth(await from.depth(), wanted)
      : await from.meanSeconds();
  return { status: 200, body: metricValues(ask, found.pods, { whole, atMs: from.wallMs() }) };
}
