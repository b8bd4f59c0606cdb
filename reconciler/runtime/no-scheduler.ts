/**
 * The scheduler port without a scheduler: a cordon is only Navarch's own state, and a drain waits
 * for the GPU processes that the agent lists. Without a target no call can be stale.
 */
import type { Scheduler } from "../core/kubernetes/scheduler.ts";

export function openNoScheduler(): Scheduler {
  const ok = async () => ({ kind: "ok" }) as const;
  return { name: "none", cordon: ok, uncordon: ok, drain: ok, left: () => null, cluster: null };
}
