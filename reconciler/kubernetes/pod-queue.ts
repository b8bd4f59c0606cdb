/**
 * What waits and what runs for each pool, counted from the pods that carry its label in any
 * namespace: the signal of a `queue` autoscaler. Pure. The caller says whether it sees pods at all:
 * an empty map means that nobody waits, never that nobody looked.
 */
import type { QueueSight } from "../core/fleet.ts";
import type { KubePod } from "../core/kubernetes/object.ts";

export type PoolQueue = {
  /** Pods not running yet, bound to a node or not. */
  pending: number;
  running: number;
  pendingGpus: number;
  runningGpus: number;
  /** Pods among both that ask for more than one GPU: they need a node that has them together. */
  wide: number;
};

/** By the label's value, the pool's name. A pod that ends or has ended asks for nothing. */
export function queueOf(pods: Iterable<KubePod>, label: string): Map<string, PoolQueue> {
  const queues = new Map<string, PoolQueue>();
  for (const { labels, phase, deletionAt, gpus } of pods) {
    const name = Object.hasOwn(labels, label) ? (labels[label] ?? "") : "";
    if (name === "" || deletionAt !== null) continue;
    if (phase !== "Pending" && phase !== "Running") continue;
    let queue = queues.get(name);
    if (queue === undefined) {
      queue = { pending: 0, running: 0, pendingGpus: 0, runningGpus: 0, wide: 0 };
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

const NOTHING: PoolQueue = { pending: 0, running: 0, pendingGpus: 0, runningGpus: 0, wide: 0 };

/** As a pool's demand takes it; a pool without pods has an empty queue. */
export function showQueue(queue: PoolQueue | undefined, observedAt: number): QueueSight {
  const { pending, running, pendingGpus, runningGpus, wide } = queue ?? NOTHING;
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
