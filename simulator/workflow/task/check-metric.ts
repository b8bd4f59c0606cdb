/**
 * Task `CheckMetric`: a number compares with a value. The number is a PromQL query's at a
 * Prometheus, or one series of a page of metrics: the control plane's, or that of `url`.
 */
import * as v from "valibot";
import { type Access, getDocument, getPage } from "../../../reconciler/metric/http.ts";
import { queryUrl, readNumber } from "../../../reconciler/metric/prometheus.ts";
import { nearest } from "../../../schema/nearest.ts";
import { finite } from "../../../schema/number.ts";
import { type MetricSample, readMetricPage } from "../metric-page.ts";
import { duration, readParams, textMap } from "../param.ts";
import { repeat } from "../repeat.ts";
import { TaskError, type Run, type TaskType } from "../task.ts";

type Compare = (found: number, value: number) => boolean;

const OPS: Readonly<Record<string, Compare>> = {
  "==": (found, value) => found === value,
  "!=": (found, value) => found !== value,
  ">": (found, value) => found > value,
  ">=": (found, value) => found >= value,
  "<": (found, value) => found < value,
  "<=": (found, value) => found <= value,
};

const Params = v.strictObject({
  query: v.nullish(v.string("expected a PromQL query"), null),
  name: v.nullish(v.string("expected the name of a metric"), null),
  labels: v.nullish(textMap, null),
  op: v.nullish(v.string(), null),
  value: v.nullish(finite, null),
  url: v.nullish(v.pipe(v.string(), v.url("expected a URL")), null),
  timeout: v.nullish(duration, "0s"),
});
type Params = v.InferOutput<typeof Params>;

const ACCESS: Access = {
  timeoutMs: 10_000,
  ...{ tokenEnv: null, tokenFile: null, username: null, caFile: null },
};

export const checkMetric: TaskType = {
  name: "CheckMetric",
  isPrefixed: true,
  read({ params }) {
    const read = readParams(Params, params);
    const { op, value, timeout } = read;
    const number = sourceOf(read);
    if (op === null || value === null) throw new TaskError("missing parameters 'op' and 'value'");
    const compare = Object.hasOwn(OPS, op) ? OPS[op] : undefined;
    if (compare === undefined) {
      const supported = Object.keys(OPS).join(", ");
      throw new TaskError(`invalid metric operation ${op}; supported: ${supported}`);
    }
    const what = read.query ?? formatSeries(read.name ?? "", read.labels ?? {});
    return (run) =>
      repeat(run, timeout, async () => {
        const found = await number(run);
        if ("why" in found) return `${what}: ${found.why}`;
        run.say("detail", `${what} is ${found.value}`);
        if (compare(found.value, value)) return null;
        return `${what} is ${found.value}, expected ${op} ${value}`;
      });
  },
};

type Found = { value: number } | { why: string };

function sourceOf({ query, name, labels, url }: Params): (run: Run) => Promise<Found> {
  if ((query === null) === (name === null)) {
    throw new TaskError("must specify either 'query' or 'name'");
  }
  if (url !== null && !/^https?:/i.test(url)) {
    throw new TaskError("failed to parse parameters: url: expected http:// or https://");
  }
  if (name !== null) return (run) => readSeries(run, { name, labels: labels ?? {}, url });
  if (labels !== null) throw new TaskError("'labels' belong to 'name'; write them into the query");
  if (url === null) throw new TaskError("must specify 'url' of a Prometheus with 'query'");
  return () => readPrometheus(url, query ?? "");
}

async function readPrometheus(url: string, query: string): Promise<Found> {
  const document = await getDocument(queryUrl(url, query), ACCESS, {});
  const answer = document.kind === "failed" ? document : readNumber(document.value);
  return answer.kind === "failed" ? { why: answer.message } : { value: answer.value };
}

type Series = { name: string; labels: Readonly<Record<string, string>>; url: string | null };

async function readSeries(run: Run, { name, labels, url }: Series): Promise<Found> {
  const page = url === null ? await run.fleet.metrics() : await fetchPage(url);
  if (!page.ok) return { why: page.message };
  const samples = readMetricPage(page.value);
  const named = samples.filter((sample) => sample.name === name);
  const found = named.filter((sample) => hasLabels(sample, labels));
  const [only, ...others] = found;
  if (only === undefined) return { why: sayAbsent(name, named, samples) };
  if (others.length > 0) {
    return { why: `${found.length} series match, one is needed: narrow labels down` };
  }
  if (Number.isFinite(only.value)) return { value: only.value };
  return { why: `the value is ${only.value}` };
}

async function fetchPage(url: string) {
  const page = await getPage(url, ACCESS, {});
  if (page.kind === "failed") return { ok: false as const, message: page.message };
  if (page.status === 200) return { ok: true as const, value: page.text };
  return { ok: false as const, message: `${url}: HTTP ${page.status}` };
}

const hasLabels = (sample: MetricSample, labels: Series["labels"]): boolean =>
  Object.entries(labels).every(([key, text]) => sample.labels[key] === text);

function sayAbsent(
  name: string,
  named: readonly MetricSample[],
  samples: readonly MetricSample[],
): string {
  const [first] = named;
  if (first !== undefined) {
    return `no such series; there is ${formatSeries(name, first.labels)}`;
  }
  const close = nearest(name, [...new Set(samples.map((sample) => sample.name))]);
  return `no such metric${close === null ? "" : ` (did you mean "${close}"?)`}`;
}

function formatSeries(name: string, labels: Series["labels"]): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}=${JSON.stringify(text)}`);
  return pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`;
}
