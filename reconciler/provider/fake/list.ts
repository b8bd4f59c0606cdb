/**
 * Computes the fake cloud's lists: the fleet's instances as they were a lag ago, altered by faults.
 * Pure.
 */
import type { Instance, InstanceState, ListAnswer } from "../../core/provider.ts";
import type { ListFate } from "./fault.ts";
import type { Held, Terms, World } from "./world.ts";

function stateAt(held: Held, atMs: number): InstanceState | null {
  for (let i = held.history.length - 1; i >= 0; i -= 1) {
    const step = held.history[i];
    if (step !== undefined && step.atMs <= atMs) return step.state;
  }
  return null;
}

/** Lists the instances with the fleet's tag, oldest first. */
export function decideList(
  world: World,
  terms: Terms,
  fleetId: string,
  fate: ListFate,
  nowMs: number,
): ListAnswer {
  if (fate.failure !== null) {
    return { kind: "failed", class: fate.failure, message: "the list was not answered" };
  }
  if (fate.empty) return { kind: "ok", instances: [] };
  const lagMs = fate.lagMs ?? terms.listLagMs;
  const instances: Instance[] = [];
  for (const held of world.instances.values()) {
    if (held.instance.tags["navarch-fleet"] !== fleetId) continue;
    const state = lagMs === 0 ? held.instance.state : stateAt(held, nowMs - lagMs);
    if (state === null) continue;
    const shown = fate.wrongState ?? state;
    const { instance } = held;
    instances.push(shown === instance.state ? instance : { ...instance, state: shown });
  }
  // A partial list always omits the oldest, so that runs are reproducible.
  const kept = instances.slice(Math.floor(instances.length * fate.leftOut));
  return { kind: "ok", instances: fate.duplicate ? [...kept, ...kept] : kept };
}
