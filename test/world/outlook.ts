/**
 * Computes when a simulated world must be looked at again: when something is due in the cloud, the
 * plan, an operation or the clock, or an agent has news. Time without any is skipped. Where
 * looking itself counts (a lookup of a request, a count of absences), the next look is in one
 * second.
 */
import type { NodeId } from "../../schema/id.ts";
import type { World } from "./world.ts";

/** How often a moving world is looked at, and how long an unmoving one may go unseen. */
const LOOK_MS = 1_000;
const IDLE_MS = 5_000;

/** Milliseconds until the next look, and until an agent has news (infinite: it has none). */
export function outlook(world: World): { dullMs: number; reportMs: number } {
  const now = world.clock.wallMs();
  const at: number[] = [];
  const due = world.cloud.nextDueMs();
  if (due !== null) at.push(due - now);
  const timer = world.clock.nextMs();
  if (timer !== null) at.push(timer);
  for (const { until } of world.reconciler.lastPlan().waits) {
    if (until !== null) at.push(until - now);
  }
  for (const { notBefore } of world.reconciler.fleet().operations.values()) {
    at.push(notBefore - now);
  }
  if (isMoving(world)) at.push(LOOK_MS);
  return { dullMs: Math.min(IDLE_MS, ...at.filter((ms) => ms > 0)), reportMs: newsMs(world) };
}

/** Whether another look at an unchanged cloud brings news. */
function isMoving(world: World): boolean {
  const { nodes, operations } = world.reconciler.fleet();
  if (operations.size > 0) return true;
  const { instances } = world.cloud.world();
  const claimed = new Set<string>();
  for (const { instance, phase } of nodes.values()) {
    if (instance === null || phase.kind === "gone") continue;
    claimed.add(instance.id);
    const real = instances.get(instance.id)?.instance.state;
    if (instance.absentSince !== null || instance.state !== real) return true;
  }
  for (const { instance } of instances.values()) {
    if (instance.state !== "terminated" && !claimed.has(instance.id)) return true;
  }
  return false;
}

/** A new agent reports at once; an unacknowledged one after a second. */
function newsMs(world: World): number {
  const { nodes } = world.reconciler.fleet();
  for (const { id, phase, instance } of nodes.values()) {
    const isUp = instance !== null && instance.state === "running";
    if (phase.kind === "booting" && isUp && !world.agent(id).quiet) return LOOK_MS;
  }
  for (const [id, agent] of world.agents) {
    const node = nodes.get(id as NodeId);
    if (node === undefined || node.phase.kind === "gone" || agent.quiet) continue;
    if (agent.spool.length > 0 || !agent.registered) return LOOK_MS;
  }
  return Number.POSITIVE_INFINITY;
}
