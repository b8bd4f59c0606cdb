/**
 * What a HorizontalPodAutoscaler did between two looks at it: it scaled, or a limit held it back.
 * Pure.
 */
import type { HpaKind, HpaLimit, HpaTrigger } from "../../../schema/console/hpa.ts";

/** One HorizontalPodAutoscaler as last read. */
export type Hpa = {
  namespace: string;
  name: string;
  uid: string;
  /** The name of the scaled object. */
  target: string;
  min: number;
  max: number;
  /** What there is, and what it wants; `null` while it has not decided. */
  current: number | null;
  desired: number | null;
  /** Condition `ScalingLimited`, while it is true. */
  limit: { reason: string; message: string } | null;
  /** Metrics that have a value and a threshold above 0. */
  metrics: readonly HpaTrigger[];
};

/** What is scaled. Identity is the pair: both names may contain hyphens. */
export type ServiceRef = { namespace: string; service: string };

export type HpaChange = {
  kind: HpaKind;
  from: number;
  to: number;
  trigger: HpaTrigger | null;
  limit: HpaLimit | null;
};

/** The controller leaves the replicas as they are within this share (`--…-tolerance`). */
const TOLERANCE = 0.1;

const LIMITS: Readonly<Record<string, HpaLimit>> = {
  TooManyReplicas: "max-replicas",
  TooFewReplicas: "min-replicas",
  ScaleUpLimit: "scale-up-rate",
  ScaleDownLimit: "scale-down-rate",
};

function limitOf({ limit }: Hpa): HpaLimit | null {
  if (limit === null) return null;
  return Object.hasOwn(LIMITS, limit.reason) ? (LIMITS[limit.reason] ?? "other") : "other";
}

const ratioOf = ({ value, threshold }: HpaTrigger): number => value / threshold;

/** The metric that asks for most decides (Kubernetes, "Horizontal Pod Autoscaling"). */
function decisive(metrics: readonly HpaTrigger[]): HpaTrigger | null {
  return metrics.reduce<HpaTrigger | null>(
    (most, one) => (most === null || ratioOf(one) > ratioOf(most) ? one : most),
    null,
  );
}

/** A trigger that asks for no more replicas. */
export const isSettled = (trigger: HpaTrigger): boolean => ratioOf(trigger) <= 1 + TOLERANCE;

/** `null`: nothing happened, or it is another object of the same name. */
export function changeOf(before: Hpa, now: Hpa): HpaChange | null {
  if (before.uid !== now.uid || now.desired === null) return null;
  const from = before.desired ?? now.desired;
  const to = now.desired;
  const limit = limitOf(now);
  const present = decisive(now.metrics);
  if (to > from) {
    // The pods that were added may have brought the value down between the looks.
    const earlier = decisive(before.metrics);
    const isOver = present === null || (earlier !== null && isSettled(present));
    return { kind: "scale-up", from, to, trigger: isOver ? earlier : present, limit };
  }
  if (to < from) return { kind: "scale-down", from, to, trigger: present, limit };
  if (limit === null || limit === limitOf(before)) return null;
  return { kind: "limited-scale", from, to, trigger: present, limit };
}
