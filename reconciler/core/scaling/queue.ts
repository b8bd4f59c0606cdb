/**
 * Jobs waiting and running against jobs per node. Pure. An unknown depth is not an empty queue, and
 * a smaller queue takes only nodes that nobody works on: a running job is part of the depth, but
 * which node it runs on is not.
 */
import type { Autoscaler } from "../../../schema/config.ts";
import { hold, size, type Recommendation, type Snapshot } from "./snapshot.ts";

type Queue = Extract<Autoscaler, { type: "queue" }>;

export function recommendQueue(autoscaler: Queue, snapshot: Snapshot): Recommendation {
  const { queueDepth, gpuDepth, desired, spare, min } = snapshot;
  const { count, jobsPerNode } = autoscaler;
  const depth = count === "gpus" ? gpuDepth : queueDepth;
  if (depth === null) return hold("queue depth is unknown", "unknown");
  const needed = Math.ceil(depth / jobsPerNode);
  const because = `queue depth ${depth}${count === "gpus" ? " GPUs" : ""} at ${jobsPerNode} a node`;
  const target = Math.max(needed, min);
  if (target >= desired) return size(target, because);
  const least = desired - spare;
  if (least <= target) return size(target, because);
  const verb = spare === 1 ? "is" : "are";
  const idle = spare === 0 ? "no node is idle" : `only ${spare} of its nodes ${verb} idle`;
  return size(least, `${because} needs ${target}, but ${idle}`);
}
