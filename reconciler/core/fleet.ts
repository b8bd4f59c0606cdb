/**
 * What the pure half of the reconciler looks at: the durable fleet, and what can be seen of the
 * world at this moment. `Fleet` is a mirror of the store (this process is its only writer); `Sight`
 * is never stored, and a part of it that is missing means "not known", never "nothing there". Both
 * are plain values, so that an activation can be saved and decided again.
 */
import type { Config, PoolConfig } from "../../schema/config.ts";
import type { NodeId, OperationId, PoolName } from "../../schema/id.ts";
import type { Node, PoolState } from "../../schema/node.ts";
import type { Operation } from "../../schema/operation.ts";
import type { Fact } from "../../schema/safety.ts";
import type { ProviderClass } from "./provider.ts";

export type Fleet = {
  /** Random, kept with the store: marks what this fleet owns at a cloud. */
  fleetId: string;
  nodes: ReadonlyMap<NodeId, Node>;
  pools: ReadonlyMap<PoolName, PoolState>;
  /** Open ones only, by id. */
  operations: ReadonlyMap<OperationId, Operation>;
  /** What the safety machinery remembers, by key. */
  facts: ReadonlyMap<string, Fact>;
};

/** How far a node's work has left, as seen now. */
export type DrainSight =
  /** No work as of `seenAt` (wall): what was seen before the drain says nothing about after it. */
  | { kind: "empty"; seenAt: number }
  /** `deadlineAt`: the drain's own, with the time given back in which nobody could be asked. */
  | {
      kind: "busy";
      remaining: number;
      message: string;
      deadlineAt?: number;
      /** Nobody may be asked to leave now, so the deadline moves on. */
      paused?: boolean;
    }
  /** Nobody can tell: no scheduler attached and no process list. */
  | { kind: "unknown"; forMs: number }
  /** Its scheduler would know, and does not answer: never the same as empty (law 9). */
  | { kind: "dark"; message: string };

export type ProviderSight = {
  class: ProviderClass;
  settleMs: number;
  /** A complete listing was folded in this process's life: nothing is bought before. */
  listed: boolean;
  /** The adapter cannot be opened or used: named, for the pool's condition. */
  unavailable: string | null;
  /** What is bought there does not come up, with why; `null` = nothing known. */
  trouble: string | null;
  /** Its machines come with an agent: nothing is set up over SSH. */
  bringsAgent: boolean;
  /** It can reboot a machine. */
  canReboot: boolean;
  /** Dollars an hour by instance type, of the configured types whose price the provider tells. */
  prices: ReadonlyMap<string, number>;
};

export type Sight = {
  /** Wall milliseconds. */
  now: number;
  /**
   * Why the reconciler cannot trust what it sees; not empty = nothing destructive starts (law 9).
   */
  blind: string[];
  /** Milliseconds for which this process has looked without a pause: nobody is late for longer. */
  attentiveMs: number;
  /** Work on the nodes that the plan may ask about (`decide/asked.ts`); absent = unknown. */
  work: ReadonlyMap<NodeId, DrainSight>;
  /** GPU utilisation in percent, of the same nodes; absent = unknown. */
  utilization: ReadonlyMap<NodeId, number>;
  providers: ReadonlyMap<string, ProviderSight>;
  /** A person froze everything, with why. */
  frozen: string | null;
  /** The Kubernetes cluster; `null` = there is none. */
  kube: KubeSight | null;
  /**
   * Why the private key at a path cannot be used, `null` if it can be; absent while it is being
   * read. Without the map keys are not checked, and every key counts as usable.
   */
  keys: ReadonlyMap<string, string | null> | null;
  /**
   * What waits in the scheduler for each autoscaled pool, where sizes are evaluated now; absent =
   * unknown, which is not zero.
   */
  queues: ReadonlyMap<PoolName, QueueSight>;
};

/** Work on one node, as the sight has it. */
export function workOn(sight: Pick<Sight, "work">, node: NodeId): DrainSight {
  return sight.work.get(node) ?? { kind: "unknown", forMs: 0 };
}

export type KubeSight = {
  /** Why its word cannot be had now; `null` while it is fresh. */
  dark: string | null;
  /** Its objects were known once in this process's life: who is not among them is not in it. */
  known: boolean;
  /** It may not even be listed, and never could be in this process's life: as if it were not. */
  forbidden: boolean;
  /** Cordons are written to the cluster. */
  mirrorsCordon: boolean;
  /** Nodes that nobody can tell apart there, with why: nothing is done to them. */
  ambiguous: ReadonlyMap<NodeId, string>;
};

/** A pool's queue as its scheduler shows it now. */
export type QueueSight = {
  pendingJobs: number;
  /** Waiting and running. */
  queueDepth: number;
  /** The same two, counted in GPUs that they ask for. */
  pendingGpus: number;
  gpuDepth: number;
  /** Jobs that ask for more than one GPU. */
  widePods?: number;
  /** Wall milliseconds of the last word of the scheduler. */
  observedAt: number;
  source: string;
};

/** Settings that judging time needs, taken from the configuration once. */
export type Timing = {
  heartbeatTimeoutMs: number;
  checkIntervalMs: number;
  registrationTimeoutMs: number;
  retainTerminatedMs: number;
  /** What a cluster must say of a node before it serves, and until when it may keep it waiting. */
  clusterReady: Config["kubernetes"]["ready"];
  clusterReadyTimeoutMs: number;
};

export function timingOf(config: Config): Timing {
  return {
    clusterReady: config.kubernetes.ready,
    clusterReadyTimeoutMs: config.kubernetes.readyTimeoutMs,
    heartbeatTimeoutMs: config.server.heartbeatTimeoutMs,
    checkIntervalMs: config.server.healthCheckIntervalMs,
    registrationTimeoutMs: config.server.registrationTimeoutMs,
    retainTerminatedMs: config.server.retainTerminatedMs,
  };
}

/** The wanted size of a pool inside its configured bounds. */
export function desiredOf(pool: PoolConfig, state: PoolState | undefined): number {
  const wanted = state?.desired ?? pool.scaling.minNodes;
  return Math.min(Math.max(wanted, pool.scaling.minNodes), pool.scaling.maxNodes);
}

/**
 * A machine that runs an agent and that this fleet did not buy: no cloud can be asked about it, and
 * nothing can end it. Its pool is the one that its agent names, if that one is configured.
 */
export function isUnbought({ slot, instance }: Pick<Node, "slot" | "instance">): boolean {
  return slot === null && instance === null;
}

/**
 * Whether the scheduler shows a person's cordon too, so that the product's mark is not lifted from
 * under it: only where the node has an object. Any other scheduler is never told of one.
 */
export function showsPersonsCordon({ cordon, kube }: Pick<Node, "cordon" | "kube">): boolean {
  return cordon.human !== null && kube !== null;
}

/** Whether a node of the pool counts towards the size that the pool wants. */
export function countsIn(node: Node, pool: Pick<PoolConfig, "adopt">): boolean {
  return pool.adopt || !isUnbought(node);
}

/** What people call the health of a node: silence counts as unhealthy, no news yet as unknown. */
export function verdictOfNode(node: Node): "unknown" | "healthy" | "degraded" | "unhealthy" {
  return node.health.silentSince === null ? node.health.verdict : "unhealthy";
}

export function isWell(node: Node): boolean {
  const verdict = verdictOfNode(node);
  return verdict === "healthy" || verdict === "degraded";
}
