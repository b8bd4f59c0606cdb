/** Parses a HorizontalPodAutoscaler of `autoscaling/v2`. */
import type {
  V2CrossVersionObjectReference,
  V2HorizontalPodAutoscaler,
  V2HorizontalPodAutoscalerCondition,
  V2HorizontalPodAutoscalerSpec,
  V2HorizontalPodAutoscalerStatus,
  V2MetricSpec,
  V2MetricStatus,
  V2MetricTarget,
} from "@kubernetes/client-node";
import type { HpaTrigger } from "../../../schema/console/hpa.ts";
import type { Hpa } from "../../core/console/hpa.ts";
import type { Fields } from "../read-field.ts";
import { readIdentity, readList, readObject, readQuantity, readText } from "../read-field.ts";

const METRICS_MAX = 32;
const NAME_CHARS_MAX = 253;

/** The field of a metric that holds its source, by `type`. */
const SOURCE: Readonly<Record<string, string>> = {
  Resource: "resource",
  ContainerResource: "containerResource",
  Pods: "pods",
  Object: "object",
  External: "external",
};

/** `null` if it has no identity or scales nothing; never throws. */
export function readHpa(json: unknown): Hpa | null {
  const object = readObject<V2HorizontalPodAutoscaler>(json);
  const metadata = readObject(object.metadata);
  const identity = readIdentity(metadata);
  const namespace = readText(metadata["namespace"], NAME_CHARS_MAX);
  const spec = readObject<V2HorizontalPodAutoscalerSpec>(object.spec);
  const { name } = readObject<V2CrossVersionObjectReference>(spec.scaleTargetRef);
  const target = readText(name, NAME_CHARS_MAX);
  if (identity === null || namespace === null || target === null) return null;
  const status = readObject<V2HorizontalPodAutoscalerStatus>(object.status);
  // The server's own default.
  const min = countOf(spec.minReplicas) ?? 1;
  const desired = countOf(status.desiredReplicas);
  // The API server shows 0 for what no controller has written yet.
  const isUndecided = desired === 0 && (min > 0 || readList(status.conditions).length === 0);
  return {
    ...{ namespace, name: identity.name, uid: identity.uid, target },
    ...{ min, max: countOf(spec.maxReplicas) ?? 0 },
    // A count of 0 may be left out.
    current: isUndecided || desired === null ? null : (countOf(status.currentReplicas) ?? 0),
    desired: isUndecided ? null : desired,
    limit: limitOf(status.conditions),
    metrics: metricsOf(spec.metrics, status.currentMetrics),
  };
}

function countOf(value: unknown): number | null {
  return Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : null;
}

function limitOf(conditions: unknown): Hpa["limit"] {
  for (const raw of readList(conditions)) {
    const one = readObject<V2HorizontalPodAutoscalerCondition>(raw);
    if (one.type !== "ScalingLimited" || one.status !== "True") continue;
    return { reason: readText(one.reason) ?? "", message: readText(one.message) ?? "" };
  }
  return null;
}

/** `key` tells two metrics of one name apart. */
type Source = { type: string; key: string; metric: string; source: Fields };

function sourceOf(raw: unknown): Source | null {
  const one = readObject<V2MetricSpec>(raw) as Fields;
  const type = readText(one["type"]);
  if (type === null || !Object.hasOwn(SOURCE, type)) return null;
  const source = readObject(one[SOURCE[type] ?? ""]);
  const { name: own, container, metric, describedObject } = source;
  const { name: given, selector } = readObject(metric);
  const name = readText(own ?? given, NAME_CHARS_MAX);
  if (name === null) return null;
  const more = [readText(container), selector, describedObject];
  return { type, key: JSON.stringify([type, name, ...more]), metric: name, source };
}

function metricsOf(specs: unknown, statuses: unknown): HpaTrigger[] {
  const current = new Map<string, Fields>();
  for (const raw of readList(statuses).slice(0, METRICS_MAX)) {
    const found = sourceOf(raw as V2MetricStatus);
    if (found !== null) current.set(found.key, readObject(found.source["current"]));
  }
  return readList(specs)
    .slice(0, METRICS_MAX)
    .flatMap((raw) => {
      const found = sourceOf(raw);
      const values = found === null ? undefined : current.get(found.key);
      if (found === null || values === undefined) return [];
      const target = readObject<V2MetricTarget>(found.source["target"]) as Fields;
      const measured = measure(target, values);
      return measured === null ? [] : [{ type: found.type, metric: found.metric, ...measured }];
    });
}

const MEASURES = [
  ["utilization", "averageUtilization"],
  ["average", "averageValue"],
  ["value", "value"],
] as const;

/** Target and value of the same measure; `null` without both. */
function measure(
  target: Fields,
  current: Fields,
): Pick<HpaTrigger, "measure" | "value" | "threshold"> | null {
  for (const [name, field] of MEASURES) {
    const threshold = amountOf(target[field]);
    const value = amountOf(current[field]);
    if (threshold !== null && threshold > 0 && value !== null) {
      return { measure: name, value, threshold };
    }
  }
  return null;
}

function amountOf(value: unknown): number | null {
  const amount = readQuantity(value);
  return amount !== null && Number.isFinite(amount) ? amount : null;
}
