/**
 * No scheduler attached: a cordon is Navarch's own state, which operators and webhooks see, and a
 * drain waits for the GPU processes that the agent lists. There is no target, so nothing can be
 * stale.
 */
import type { Scheduler } from "../core/scheduler.ts";

export function openNoScheduler(): Scheduler {
  const ok = async () => ({ kind: "ok" }) as const;
  return { name: "none", cordon: ok, uncordon: ok, drain: ok, left: () => null, cluster: null };
}
