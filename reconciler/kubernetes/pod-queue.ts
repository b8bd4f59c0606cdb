/**
 * Counts pending and running pods by the pool in their label, in any namespace: the signal of a
 * `queue` autoscaler. Pure. The caller knows whether pods are observed at all: an empty map means
 * that none waits.
 */
import type { QueueSight } from "../core/fleet.ts";
import type { KubePod } from "../core/kubernetes/object.ts";

export type PoolQueue = {
  /** Pods not running yet, bound to a node or not. */
  pending: number;
  running: number;
  pendingGpus: number;
  runningGpus: number;
  /** Pods of both kinds with more than one GPU: they need them on one node. */
  wide: number;
};

const EMPTY: PoolQueue = { pending: 0, running: 0, pendingGpus: 0, runningGpus: 0, wide: 0 };

/** By the label's value, the pool's name. Pods that end or have ended do not count. */
export function queueOf(pods: Iterable<KubePod>, label: string): Map<string, PoolQueue> {
  const queues = new Map<string, PoolQueue>();
  for (const { labels, phase, deletionAt, gpus } of pods) {
    const name = Object.hasOwn(labels, label) ? (labels[label] ?? "") : "";
    if (name === "" || deletionAt !== null) continue;
    if (phase !== "Pending" && phase !== "Running") continue;
    let queue = queues.get(name);
    if (queue === undefined) {
      queue = { ...EMPTY };
      queues.set(name, queue);
    }
    if (phase === "Pending") {
      queue.pending += 1;
      queue.pendingGpus += gpus;
    } else {
      queue.running += 1;
      queue.runningGpus += gpus;
    }
    if (gpus > 1) queue.wide += 1;
  }
  return queues;
}

/** In the form of a pool's demand; a pool without pods has an empty queue. */
export function showQueue(queue: PoolQueue | undefined, observedAt: number): QueueSight {
  const { pending, running, pendingGpus, runningGpus, wide } = queue ?? EMPTY;
  return {
    pendingJobs: pending,
    queueDepth: pending + running,
    pendingGpus,
    gpuDepth: pendingGpus + runningGpus,
    widePods: wide,
    observedAt,
    source: "kubernetes",
  };
}
