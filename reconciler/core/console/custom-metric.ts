/**
 * Metrics of the demand queue for HorizontalPodAutoscalers, as objects of
 * `custom.metrics.k8s.io/v1beta2`. The depth is shared, so each pod reports its part of it: the
 * autoscaler's sum is the depth whatever the number of replicas. Pure.
 */
import type { QueueDepth } from "../../../schema/console/queue.ts";
import { matches, type Selector } from "./metric-selector.ts";

const GROUP = "custom.metrics.k8s.io";
const VERSION = "v1beta2";
const GROUP_VERSION = `${GROUP}/${VERSION}`;
export const METRIC_NAMES = ["coordinator_queue_depth", "ml_processing_time_seconds"] as const;
export type MetricName = (typeof METRIC_NAMES)[number];

/** A pod of the workload that is scaled. */
export type MetricPod = { name: string; phase: string; isDeleting: boolean };

export type MetricAsk = {
  namespace: string;
  /** `*`: every pod that the selector matches. */
  pod: string;
  metric: MetricName;
};

export type MetricPath =
  | { kind: "document"; body: object }
  | { kind: "values"; ask: MetricAsk }
  | { kind: "absent" };

const version = { groupVersion: GROUP_VERSION, version: VERSION };
const group = { name: GROUP, versions: [version], preferredVersion: version };

/** Discovery, by path. */
const DOCUMENTS: Readonly<Record<string, object>> = {
  "/apis": { kind: "APIGroupList", apiVersion: "v1", groups: [group] },
  [`/apis/${GROUP}`]: { kind: "APIGroup", apiVersion: "v1", ...group },
  [`/apis/${GROUP_VERSION}`]: {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion: GROUP_VERSION,
    resources: METRIC_NAMES.map((name) => ({
      ...{ name: `pods/${name}`, singularName: "", namespaced: true },
      ...{ kind: "MetricValueList", verbs: ["get"] },
    })),
  },
};

/** A DNS label, and a name of pods. */
const NAMESPACE = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const POD = /^(?:\*|[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?)$/;

/** `pathname` as it was sent, percent-encoded. */
export function readMetricPath(pathname: string): MetricPath {
  const path = pathname.length > 1 ? pathname.replace(/\/$/, "") : pathname;
  const body = Object.hasOwn(DOCUMENTS, path) ? DOCUMENTS[path] : undefined;
  if (body !== undefined) return { kind: "document", body };
  const found = /^\/namespaces\/([^/]+)\/pods\/([^/]+)\/([^/]+)$/.exec(
    path.startsWith(`/apis/${GROUP_VERSION}/`) ? path.slice(`/apis/${GROUP_VERSION}`.length) : "",
  );
  const [namespace = "", pod = "", name = ""] = (found ?? []).slice(1).map(decode);
  const metric = METRIC_NAMES.find((one) => one === name);
  if (metric === undefined || !NAMESPACE.test(namespace) || !POD.test(pod)) {
    return { kind: "absent" };
  }
  return { kind: "values", ask: { namespace, pod, metric } };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** Waiting tasks whose class, priority and pool the selector matches. */
export function sumDepth(rows: readonly QueueDepth[], selector: Selector): number {
  return rows.reduce((sum, { class: kind, priority, pool, tasks }) => {
    return matches(selector, { class: kind, priority, pool }) ? sum + tasks : sum;
  }, 0);
}

/**
 * The autoscaler leaves out pods that are pending, failed or being deleted, so these have no part
 * while another pod runs.
 */
function counted(pods: readonly MetricPod[]): readonly MetricPod[] {
  const running = pods.filter(({ phase, isDeleting }) => phase === "Running" && !isDeleting);
  return running.length > 0 ? running : pods;
}

/** Parts in thousandths, whose sum is exactly the whole. */
export function partsOf(whole: number, count: number): number[] {
  const milli = Math.round(whole * 1_000);
  const least = Math.floor(milli / count);
  const larger = milli - least * count;
  return Array.from({ length: count }, (_, index) => (index < larger ? least + 1 : least));
}

/** As `resource.Quantity` writes it. */
const quantity = (milli: number): string =>
  milli % 1_000 === 0 ? String(milli / 1_000) : `${milli}m`;

/** `whole`: the depth, which the pods share, or a mean, which each of them reports. */
export function metricValues(
  { namespace, pod, metric }: MetricAsk,
  pods: readonly MetricPod[],
  { whole, atMs }: { whole: number; atMs: number },
): object {
  const all = counted(pods.filter(({ name }) => pod === "*" || name === pod));
  const isShared = metric === "coordinator_queue_depth";
  const parts = isShared ? partsOf(whole, all.length) : all.map(() => Math.round(whole * 1_000));
  const timestamp = new Date(atMs).toISOString().replace(/\.\d+Z$/, "Z");
  return {
    ...{ kind: "MetricValueList", apiVersion: GROUP_VERSION, metadata: {} },
    items: all.map(({ name }, index) => ({
      describedObject: { kind: "Pod", namespace, name, apiVersion: "/v1" },
      metric: { name: metric, selector: null },
      timestamp,
      value: quantity(parts[index] ?? 0),
    })),
  };
}
