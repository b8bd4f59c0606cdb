/**
 * The HorizontalPodAutoscalers as last looked at, and the latest values of each. Kept in memory and
 * bounded. Pure: time is an argument.
 */
import type { HpaSample, HpaTrigger } from "../../../schema/console/hpa.ts";
import { History } from "./history.ts";
import type { Hpa, ServiceRef } from "./hpa.ts";

/** Those beyond it are shown as they are now, without what was. */
const CHARTED_MAX = 500;

type Value = Pick<Hpa, "current" | "desired" | "min" | "max" | "metrics">;

export class HpaTimeline {
  private present: readonly Hpa[] = [];
  private lookedAt = 0;
  /** By UID. */
  private histories = new Map<string, History<Value>>();

  /** All that are in the cluster at `now`, in an order that stays. */
  take(all: readonly Hpa[], now: number): void {
    this.present = all;
    this.lookedAt = now;
    const histories = new Map<string, History<Value>>();
    for (const { uid, current, desired, min, max, metrics } of all.slice(0, CHARTED_MAX)) {
      const history = this.histories.get(uid) ?? new History<Value>(isSame);
      history.note({ current, desired, min, max, metrics }, now);
      histories.set(uid, history);
    }
    this.histories = histories;
  }

  /** As at the last look. */
  all(): readonly Hpa[] {
    return this.present;
  }

  /** When that was; 0 = never. */
  at(): number {
    return this.lookedAt;
  }

  of({ namespace, service }: ServiceRef): { hpa: Hpa; samples: HpaSample[] }[] {
    const own = this.present.filter((one) => one.namespace === namespace && one.target === service);
    return own.map((hpa) => ({
      hpa,
      samples: this.samplesOf(hpa),
    }));
  }

  private samplesOf(hpa: Hpa): HpaSample[] {
    const { lookedAt: at } = this;
    return (this.histories.get(hpa.uid)?.read(at) ?? [{ at, value: hpa }]).map(sampleOf);
  }
}

function sampleOf({ at, value }: { at: number; value: Value }): HpaSample {
  const { current, desired, min, max, metrics } = value;
  return {
    timestamp: new Date(at).toISOString(),
    ...{ currentReplicas: current, desiredReplicas: desired },
    ...{ minReplicas: min, maxReplicas: max, metrics: [...metrics] },
  };
}

function isSame(one: Value, other: Value): boolean {
  return (
    one.current === other.current &&
    one.desired === other.desired &&
    one.min === other.min &&
    one.max === other.max &&
    one.metrics.length === other.metrics.length &&
    one.metrics.every((metric, at) => isSameTrigger(metric, other.metrics[at]))
  );
}

function isSameTrigger(one: HpaTrigger, other: HpaTrigger | undefined): boolean {
  return (
    one.value === other?.value &&
    one.threshold === other.threshold &&
    one.metric === other.metric &&
    one.type === other.type &&
    one.measure === other.measure
  );
}
