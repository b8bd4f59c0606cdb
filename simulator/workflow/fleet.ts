/**
 * The port of fleet tasks to a control plane: faults of simulated machines, nodes and metrics. A
 * run that names no control plane gets one that answers every call with the reason.
 */
import type { Made, Undo } from "./made.ts";
import type { MachineFault } from "../../schema/machine-fault.ts";
import { nearest } from "../../schema/nearest.ts";

export type FleetNode = {
  /** Navarch's node id. */
  id: string;
  pool: string | null;
  /** Name of its Kubernetes Node; `null` = none yet. */
  kubernetesNode: string | null;
  phase: string;
  isHealthy: boolean;
  isCordoned: boolean;
};

/** A failure's message says what to do next. */
export type FleetAnswer<T> = { ok: true; value: T } | { ok: false; message: string };

/** A wait of the newest plan. */
export type FleetWait = { node: string | null; pool: string | null; reason: string };

export type Fleet = {
  /** Every node that is not gone. */
  nodes(): Promise<FleetAnswer<FleetNode[]>>;
  /** `fault: null` clears every injected fault of the node. */
  inject(node: string, fault: MachineFault | null): Promise<FleetAnswer<null>>;
  /** Nodes of the pool that were replaced within the last `ms`. */
  replaced(pool: string, ms: number): Promise<FleetAnswer<number>>;
  waits(): Promise<FleetAnswer<FleetWait[]>>;
  /** The metrics page of the control plane. */
  metrics(): Promise<FleetAnswer<string>>;
};

/** The same fleet; what it injects is noted in `made`, with the clearing that undoes it. */
export function notingFaults(fleet: Fleet, made: Made): Fleet {
  return {
    nodes: () => fleet.nodes(),
    replaced: (pool, ms) => fleet.replaced(pool, ms),
    waits: () => fleet.waits(),
    metrics: () => fleet.metrics(),
    async inject(node, fault) {
      const name = `fault of ${node}`;
      if (fault !== null) made.noteUndo(name, () => clear(fleet, node));
      const answer = await fleet.inject(node, fault);
      if (fault === null && answer.ok) made.dropUndo(name);
      return answer;
    },
  };
}

/** A machine that was replaced took its fault with it. */
async function clear(fleet: Fleet, node: string): ReturnType<Undo> {
  const nodes = await fleet.nodes();
  if (nodes.ok && !nodes.value.some(({ id }) => id === node)) {
    return { ok: true, say: "left with its machine" };
  }
  const answer = await fleet.inject(node, null);
  return answer.ok ? { ok: true, say: "cleared" } : { ok: false, say: answer.message };
}

/** Pools that the hint of a name without a near one lists. */
const POOLS_MAX = 5;

/** What follows the name of a pool without nodes: the nearest pool that has some, or those. */
export function otherPool(pool: string, pools: readonly string[]): string {
  const close = nearest(pool, pools);
  if (close !== null) return ` (did you mean "${close}"?)`;
  const more = pools.length > POOLS_MAX ? ` and ${pools.length - POOLS_MAX} more` : "";
  const shown = pools.slice(0, POOLS_MAX).join(", ");
  return pools.length === 0 ? "" : ` (pools with nodes: ${shown}${more})`;
}
