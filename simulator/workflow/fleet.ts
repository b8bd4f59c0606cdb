/**
 * The port of fleet tasks to a control plane: faults of simulated machines, nodes and metrics. A
 * run that names no control plane gets one that answers every call with the reason.
 */

/** A fault of a simulated machine. */
export type SimFault =
  | { kind: "xid"; code: number; gpu: number | null }
  | { kind: "ecc" | "thermal" | "nvlink" | "lost"; gpu: number | null };

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

export type Fleet = {
  nodes(): Promise<FleetAnswer<FleetNode[]>>;
  /** `fault: null` clears every injected fault of the node. */
  inject(node: string, fault: SimFault | null): Promise<FleetAnswer<null>>;
  /** Nodes replaced in the pool since `sinceMs` (wall milliseconds). */
  replaced(pool: string, sinceMs: number): Promise<FleetAnswer<number>>;
  /** The metrics page of the control plane. */
  metrics(): Promise<FleetAnswer<string>>;
};
