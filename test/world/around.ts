/** Wraps a scheduler: intercepts every call that carries a fence and passes the rest through. */
import type { Fence } from "../../reconciler/core/provider.ts";
import type { Scheduler, SchedulerAnswer } from "../../reconciler/core/kubernetes/scheduler.ts";

export type SchedulerCall = { op: "cordon" | "uncordon" | "drain"; fence: Fence };

export function aroundScheduler(
  scheduler: Scheduler,
  around: (call: SchedulerCall, next: () => Promise<SchedulerAnswer>) => Promise<SchedulerAnswer>,
): Scheduler {
  return {
    name: scheduler.name,
    cluster: scheduler.cluster,
    left: (node) => scheduler.left(node),
    cordon: (node, why, fence, again) =>
      around({ op: "cordon", fence }, () => scheduler.cordon(node, why, fence, again)),
    uncordon: (node, why, fence) =>
      around({ op: "uncordon", fence }, () => scheduler.uncordon(node, why, fence)),
    drain: (node, options, fence) =>
      around({ op: "drain", fence }, () => scheduler.drain(node, options, fence)),
  };
}
