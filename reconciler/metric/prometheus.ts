/**
 * An instant query of Prometheus: its request and its reply (HTTP API v1, "Instant queries"). Pure.
 * Exactly one result is a number; several are a query that lacks `sum` or another aggregation.
 */
import * as v from "valibot";
import { withoutEndSlash } from "../../schema/end-slash.ts";
import { finite } from "../../schema/number.ts";
import { answerOf, type MetricAnswer } from "../core/scaling/metric.ts";

const Sample = v.tuple([finite, v.string()]);
const Reply = v.variant("status", [
  v.object({
    status: v.literal("success"),
    data: v.variant("resultType", [
      v.object({ resultType: v.literal("vector"), result: v.array(v.object({ value: Sample })) }),
      v.object({ resultType: v.literal("scalar"), result: Sample }),
    ]),
  }),
  v.object({ status: v.literal("error"), errorType: v.string(), error: v.string() }),
]);

export function queryUrl(base: string, query: string): string {
  const url = new URL(base);
  url.pathname = `${withoutEndSlash(url.pathname)}/api/v1/query`;
  url.searchParams.set("query", query);
  return url.href;
}

/** For an autoscaler, which takes no negative number. */
export function readQuery(value: unknown): MetricAnswer {
  const read = readNumber(value);
  return read.kind === "value" ? answerOf(read.value) : read;
}

/** Any finite number. */
export function readNumber(value: unknown): MetricAnswer {
  const failed = (message: string): MetricAnswer => ({ kind: "failed", message });
  const read = v.safeParse(Reply, value);
  if (!read.success) return failed("the reply is not that of an instant query with one number");
  const { output } = read;
  if (output.status === "error") return failed(`${output.errorType}: ${output.error}`);
  const { data } = output;
  if (data.resultType === "scalar") return sampleOf(data.result[1]);
  const [first, second] = data.result;
  if (first === undefined) return failed("the query has no result");
  if (second === undefined) return sampleOf(first.value[1]);
  return failed(`the query has ${data.result.length} results, one is needed: use sum() or max()`);
}

/** `NaN`, `+Inf` and `-Inf` are values of Prometheus, and none of ours. */
function sampleOf(text: string): MetricAnswer {
  const isNumber = /^-?\d/.test(text) && Number.isFinite(Number(text));
  if (isNumber) return { kind: "value", value: Number(text) };
  return { kind: "failed", message: `the value is ${text.slice(0, 40)}` };
}
