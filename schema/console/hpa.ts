/** What HorizontalPodAutoscalers did and do, as `GET /api/hpa-events` shows it. */
import type { TaskPriority } from "./queue.ts";

export const HPA_KINDS = ["scale-up", "scale-down", "limited-scale"] as const;
export type HpaKind = (typeof HPA_KINDS)[number];

/** Value and threshold in the metric's own unit; `utilization` is in percent of the request. */
export type HpaTrigger = {
  /** `Resource`, `Pods`, `External`…, as in `autoscaling/v2`. */
  type: string;
  metric: string;
  measure: "utilization" | "average" | "value";
  value: number;
  threshold: number;
};

export const HPA_LIMITS = [
  "max-replicas",
  "min-replicas",
  "scale-up-rate",
  "scale-down-rate",
  "other",
] as const;
export type HpaLimit = (typeof HPA_LIMITS)[number];

export type HpaEvent = {
  timestamp: string;
  kind: HpaKind;
  namespace: string;
  /** The name of the scaled object; a service is namespace and name. */
  service: string;
  hpa: string;
  fromReplicas: number;
  toReplicas: number;
  minReplicas: number;
  maxReplicas: number;
  /** `null`: no metric has a value. */
  trigger: HpaTrigger | null;
  limitingFactor: HpaLimit | null;
  message: string | null;
};

export type HpaEvents = { events: HpaEvent[] };

/** A HorizontalPodAutoscaler at one look; `null`: its controller has not written it yet. */
export type HpaSample = {
  timestamp: string;
  currentReplicas: number | null;
  desiredReplicas: number | null;
  minReplicas: number;
  maxReplicas: number;
  /** CPU, memory, the queue's depth: whatever it scales by and has a value of. */
  metrics: HpaTrigger[];
};

/** Waiting tasks of the demand queue. */
export type DepthSample = { timestamp: string; depth: Record<TaskPriority, number> };

/**
 * The last two hours since this process leads, oldest first. A sample holds until the next one.
 */
export type ServiceTimeline = {
  /** `NAMESPACE/NAME`. */
  service: string;
  /** The last look at the cluster. */
  until: string;
  /** Several autoscalers of one object are a mistake that Kubernetes allows. */
  autoscalers: { hpa: string; samples: HpaSample[] }[];
  /** Newest first. */
  events: HpaEvent[];
  queue: DepthSample[];
};
