/**
 * The latest events of HorizontalPodAutoscalers, at most one for each service in five minutes.
 * Kept in memory and bounded. Pure: time is an argument.
 */
import type { HpaEvent, HpaKind } from "../../../schema/console/hpa.ts";
import { changeOf, type Hpa, type ServiceRef } from "./hpa.ts";
import { HpaTimeline } from "./hpa-timeline.ts";

export const HPA_EVENTS_MAX = 1_000;
export type HpaCounts = Record<HpaKind, number>;
/** HorizontalPodAutoscalers that are followed. */
const FOLLOWED_MAX = 5_000;
const EVERY_MS = 5 * 60_000;

type Kept = {
  at: number;
  ref: string;
  event: Omit<HpaEvent, "timestamp">;
};

const keyOf = ({ namespace, service }: ServiceRef): string => `${namespace}/${service}`;
const refOf = ({ namespace, target }: Hpa): ServiceRef => ({ namespace, service: target });

export class HpaLog {
  readonly timeline = new HpaTimeline();
  /** By UID; stays as it was while its service may have no further event. */
  private before = new Map<string, Hpa>();
  private services = new Map<string, ServiceRef>();
  private readonly lastAt = new Map<string, number>();
  private readonly tallies = new Map<string, HpaCounts>();
  /** Oldest first. */
  private kept: Kept[] = [];

  /** All that are in the cluster at `now`. */
  take(all: readonly Hpa[], now: number): void {
    const followed = all.slice(0, FOLLOWED_MAX);
    this.timeline.take(followed, now);
    const before = new Map<string, Hpa>();
    for (const hpa of followed) before.set(hpa.uid, this.look(hpa, now));
    this.before = before;
    for (const [key, at] of this.lastAt) if (now - at >= EVERY_MS) this.lastAt.delete(key);
    this.kept = this.kept.slice(-HPA_EVENTS_MAX);
    const refs = [...followed.map(refOf), ...this.kept.map(({ event }) => event)];
    this.services = new Map(
      refs.map(({ namespace, service }) => [keyOf({ namespace, service }), { namespace, service }]),
    );
    for (const key of this.tallies.keys()) if (!this.services.has(key)) this.tallies.delete(key);
  }

  /** The state to compare the next look with. */
  private look(hpa: Hpa, now: number): Hpa {
    const before = this.before.get(hpa.uid);
    const change = before === undefined ? null : changeOf(before, hpa);
    if (before === undefined || change === null) return hpa;
    const ref = refOf(hpa);
    const key = keyOf(ref);
    const last = this.lastAt.get(key);
    // What happens meanwhile is one event when the time is over.
    if (last !== undefined && now - last < EVERY_MS) return before;
    this.lastAt.set(key, now);
    this.tallyOf(key)[change.kind]++;
    const { kind, from, to, trigger, limit } = change;
    this.kept.push({
      ...{ at: now, ref: key },
      event: {
        ...{ kind, ...ref, hpa: hpa.name, fromReplicas: from, toReplicas: to },
        ...{ minReplicas: hpa.min, maxReplicas: hpa.max, trigger, limitingFactor: limit },
        message: hpa.limit?.message ?? null,
      },
    });
    return hpa;
  }

  /** Newest first; of all services without `ref`. */
  events(ref: ServiceRef | null, limit: number): HpaEvent[] {
    return this.of(ref)
      .slice(-limit)
      .reverse()
      .map(({ at, event }) => ({ timestamp: new Date(at).toISOString(), ...event }));
  }

  /** Services of that name, in all namespaces or in one. */
  named(service: string, namespace: string | null): ServiceRef[] {
    const all = [...this.services.values()].filter((one) => one.service === service);
    return all.filter((one) => namespace === null || one.namespace === namespace);
  }

  /** Events of each service since this process leads. */
  counts(): (ServiceRef & { counts: HpaCounts })[] {
    return [...this.services].map(([key, ref]) => ({ ...ref, counts: this.tallyOf(key) }));
  }

  private tallyOf(key: string): HpaCounts {
    const found = this.tallies.get(key) ?? { "scale-up": 0, "scale-down": 0, "limited-scale": 0 };
    this.tallies.set(key, found);
    return found;
  }

  private of(ref: ServiceRef | null): Kept[] {
    return ref === null ? this.kept : this.kept.filter((one) => one.ref === keyOf(ref));
  }
}
