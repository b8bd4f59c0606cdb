/**
 * Counts pending and running pods by pool, in any namespace: the signal of a `queue` autoscaler. A
 * pod's pool is the one that its label names; without the label, the first whose labels it selects
 * and whose taints it tolerates. Pure. An empty map means that none waits.
 */
import type { QueueSight } from "../core/fleet.ts";
import type { KubePod, Toleration } from "../core/kubernetes/object.ts";
import type { QueuePool } from "../core/kubernetes/scheduler.ts";

type PoolQueue = {
  /** Pods not running yet, bound to a node or not. */
  pending: number;
  running: number;
  pendingGpus: number;
  runningGpus: number;
  /** Pods of both kinds with more than one GPU: they need them on one node. */
  wide: number;
  /** Most GPUs of a pending one. */
  widest: number;
};

/** Counted from this version of the pods, for these pools. */
export type CountedQueues = {
  version: number;
  pools: readonly QueuePool[];
  byPool: ReadonlyMap<string, PoolQueue>;
};

const EMPTY: PoolQueue = {
  ...{ pending: 0, running: 0, pendingGpus: 0, runningGpus: 0 },
  ...{ wide: 0, widest: 0 },
};

/**
 * By the pool's name. Pods that end or have ended do not count, and neither do gated ones: a queue
 * such as Kueue has not admitted them, and a machine would stand idle until it does.
 */
export function queueOf(
  pods: Iterable<KubePod>,
  label: string,
  pools: readonly QueuePool[] = [],
): Map<string, PoolQueue> {
  const queues = new Map<string, PoolQueue>();
  for (const pod of pods) {
    const { labels, phase, deletionAt, gpus } = pod;
    if (deletionAt !== null || (phase !== "Pending" && phase !== "Running")) continue;
    if (pod.gated === true) continue;
    const named = Object.hasOwn(labels, label) ? (labels[label] ?? "") : "";
    const name = named === "" ? selectedBy(pod, pools) : named;
    if (name === null) continue;
    let queue = queues.get(name);
    if (queue === undefined) {
      queue = { ...EMPTY };
      queues.set(name, queue);
    }
    if (phase === "Pending") {
      queue.pending += 1;
      queue.pendingGpus += gpus;
      queue.widest = Math.max(queue.widest, gpus);
    } else {
      queue.running += 1;
      queue.runningGpus += gpus;
    }
    if (gpus > 1) queue.wide += 1;
  }
  return queues;
}

/** Labels that kubelets and clouds write: they tell no pool. */
const COMMON = /(?:^|\.)(?:kubernetes|k8s)\.io\//;

/** A DaemonSet's pod and a mirror pod belong to their Node, and want no other one. */
function selectedBy(pod: KubePod, pools: readonly QueuePool[]): string | null {
  const { selector, controller, mirror, tolerations } = pod;
  if (selector === undefined || mirror || controller?.kind === "DaemonSet") return null;
  const wanted = Object.entries(selector).filter(([key]) => !COMMON.test(key));
  if (wanted.length === 0) return null;
  const fits = ({ labels, taints }: QueuePool): boolean =>
    wanted.every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value) &&
    taints
      .filter(({ effect }) => effect === "NoSchedule")
      .every((taint) => tolerations.some((one) => tolerates(one, taint)));
  return pools.find(fits)?.name ?? null;
}

/** As the scheduler does (Kubernetes API, `Toleration`). */
function tolerates(toleration: Toleration, taint: QueuePool["taints"][number]): boolean {
  const { key, operator, value, effect } = toleration;
  if ((effect ?? "") !== "" && effect !== taint.effect) return false;
  if ((key ?? "") === "") return operator === "Exists";
  if (key !== taint.key) return false;
  return operator === "Exists" || (value ?? "") === taint.value;
}

/** In the form of a pool's demand; a pool without pods has an empty queue. */
export function showQueue(queue: PoolQueue | undefined, observedAt: number): QueueSight {
  const { pending, running, pendingGpus, runningGpus, wide, widest } = queue ?? EMPTY;
  return {
    pendingJobs: pending,
    queueDepth: pending + running,
    pendingGpus,
    gpuDepth: pendingGpus + runningGpus,
    widePods: wide,
    widest,
    observedAt,
    source: "kubernetes",
  };
}
