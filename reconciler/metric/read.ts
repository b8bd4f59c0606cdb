/** Reads the number of an `external` autoscaler from its source. */
import type { Clock } from "../core/clock.ts";
import { answerOf, type MetricAnswer, type ReadMetric } from "../core/scaling/metric.ts";
import type { External } from "../core/scaling/external.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { readCommand } from "./command.ts";
import { type Environment, getDocument } from "./http.ts";
import { pointAt } from "./pointer.ts";
import { queryUrl, readQuery } from "./prometheus.ts";

export type MetricPorts = { env: Environment; clock: Pick<Clock, "after"> };

export function openMetricReader(ports: MetricPorts): ReadMetric {
  return async (from, pool) => {
    switch (from.source) {
      case "prometheus":
        return readPrometheus(from, ports);
      case "http":
        return readHttp(from, ports);
      case "command":
        return readCommand(from, pool, ports);
      default:
        return unreachable(from.source);
    }
  };
}

async function readPrometheus(from: External, { env }: MetricPorts): Promise<MetricAnswer> {
  const { url, query } = from;
  const document = await getDocument(queryUrl(url ?? "", query ?? ""), from, env);
  return document.kind === "failed" ? document : readQuery(document.value);
}

async function readHttp(from: External, { env }: MetricPorts): Promise<MetricAnswer> {
  const document = await getDocument(from.url ?? "", from, env);
  if (document.kind === "failed") return document;
  const { status, value } = document;
  if (status < 200 || status >= 300) return { kind: "failed", message: `HTTP ${status}` };
  const found = pointAt(value, from.pointer ?? "");
  if ("at" in found) return { kind: "failed", message: `the document has no ${found.at}` };
  return answerOf(found.value);
}
