/**
 * What routes, metrics and the autoscaler ask of the demand queue: the leader's, or one that says
 * why there is none. Types, and the absent queue.
 */
import type { DepthSample } from "../../../schema/console/hpa.ts";
import type { LeaseAsk, QueueDepth, Task, TaskAsk } from "../../../schema/console/queue.ts";
import type { QueueSight } from "../fleet.ts";
import type { QueueAnswer } from "./queue.ts";

/** Figures of the queue for gauges; `null` = unknown. */
export type QueueFigures = {
  depth: readonly QueueDepth[];
  perSecond: number;
  meanSeconds: number;
  backlogSeconds: number | null;
};

export type DemandAnswer =
  | QueueAnswer
  /** `conflict` stays so; `unavailable` passes by itself. */
  | { kind: "refused"; code: "conflict" | "unavailable"; message: string };

/** What tasks ask of a pool; `null` = none ever did. */
export type TaskDemand = (pool: string) => QueueSight | null;

/** Each resolves once what it answers is durable. */
export type DemandQueue = {
  /** `id`: asked twice under it, it is one task. */
  submit(ask: TaskAsk, id: string, by: string): Promise<DemandAnswer>;
  lease(ask: LeaseAsk, lease: string): Promise<DemandAnswer>;
  keep(id: string, lease: string): Promise<DemandAnswer>;
  complete(id: string, lease: string, result: string | null): Promise<DemandAnswer>;
  fail(id: string, lease: string, error: string): Promise<DemandAnswer>;
  cancel(id: string): Promise<DemandAnswer>;
  release(id: string): Promise<DemandAnswer>;
  find(id: string): Promise<Task | null>;
  /** `null`: this process does not lead, so it cannot know. */
  figures(): QueueFigures | null;
  /** Of the last two hours since this process leads, oldest first; empty where it cannot know. */
  depths(): DepthSample[];
  /** What waits for and runs on a pool's machines. */
  demandOf: TaskDemand;
};

export function noDemandQueue(
  message: string,
  code: "conflict" | "unavailable" = "conflict",
): DemandQueue {
  const refused = (): Promise<DemandAnswer> => Promise.resolve({ kind: "refused", code, message });
  return {
    ...{ submit: refused, lease: refused, keep: refused, complete: refused, fail: refused },
    ...{ cancel: refused, release: refused },
    find: () => Promise.resolve(null),
    figures: () => null,
    depths: () => [],
    demandOf: () => null,
  };
}
