/**
 * The port of fleet tasks to a control plane: faults of simulated machines, nodes and metrics. A
 * run that names no control plane gets one that answers every call with the reason.
 */
import type { MachineFault } from "../../schema/machine-fault.ts";

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

/** A fleet that cannot be asked, and why. */
export function noFleet(message: string): Fleet {
  const none = () => Promise.resolve({ ok: false as const, message });
  return { nodes: none, inject: none, replaced: none, waits: none, metrics: none };
}
