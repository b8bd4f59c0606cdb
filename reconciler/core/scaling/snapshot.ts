/**
 * What an autoscaler reads and what it answers, as plain values: a recommendation is a pure
 * function of a snapshot. `null` always means "not known", never zero.
 */
import type { Autoscaler } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import { isTakenOut, type MetricSight, type Sight, isIdle, workOn } from "../fleet.ts";
import type { Worker } from "./idle.ts";
import type { Surplus } from "./surplus.ts";

export type Snapshot = {
  /** The stored wanted size, which rules use as the current one: all of it is owned or bought. */
  desired: number;
  /** Nodes whose agent has reported and that are not leaving. */
  registered: number;
  /** Nodes that can be removed without ending work. */
  spare: number;
  /** Nodes without work that others cordoned: they stay, and none comes to them. */
  taken?: number;
  min: number;
  max: number;
  /** Mean of the pool's GPUs in percent, from fresh samples. */
  utilization: number | null;
  /** Pending and running jobs, and the GPUs that they request. */
  queueDepth: number | null;
  gpuDepth: number | null;
  /** The same two of the demand queue's tasks; `null` = none was ever submitted. */
  tasks?: { queueDepth: number; gpuDepth: number } | null;
  /** Jobs that wait; 0 where no queue was ever reported. */
  waiting: number | null;
  /**
   * What the load of each evaluation would be on the nodes that are registered now, in percent,
   * oldest first: a change of size would otherwise be a trend. `null` = the nodes were full, so
   * that nothing is known of how much more there was.
   */
  history: readonly (number | null)[];
  /** Between two evaluations. */
  intervalMs: number;
  /** The pool's nodes that are capacity, or will be. */
  workers: readonly WorkerSight[];
  /** Of the autoscalers that see a node too many. */
  surplus: ReadonlyMap<Autoscaler, Surplus>;
  /** What the sources of `external` autoscalers say; absent = not read yet. */
  metrics: ReadonlyMap<Autoscaler, MetricSight>;
  /** Wall milliseconds. */
  now: number;
  /** Monotonic milliseconds. */
  mono: number;
};

/** A node as `idle` counts it, with the number of its jobs. */
export type WorkerSight = Pick<Worker, "id" | "state"> & { busy: number };

export type Recommendation =
  /**
   * `bounds` is a floor or ceiling and waits for no cooldown; `signal` is an autoscaler's opinion.
   * `cut`: more was wanted than `max`.
   */
  | { kind: "size"; nodes: number; because: string; cause: "bounds" | "signal"; cut: boolean }
  /**
   * The size stays, and a composite does not count this member. `unknown`: a signal is missing,
   * which is reported to people; `quiet`: the rule does not apply now.
   */
  | { kind: "hold"; because: string; cause: "unknown" | "quiet" };

type Size = Extract<Recommendation, { kind: "size" }>;

export function size(
  nodes: number,
  because: string,
  cause: Size["cause"] = "signal",
  cut = false,
): Size {
  return { kind: "size", nodes, because, cause, cut };
}

export function hold(because: string, cause: "unknown" | "quiet"): Recommendation {
  return { kind: "hold", because, cause };
}

/** The floor or the ceiling if the wanted size is outside; else `null`. */
export function enforce({ desired, min, max }: Snapshot): Recommendation | null {
  if (desired < min) return size(min, `below the floor of ${min}`, "bounds");
  if (desired > max) return size(max, `above the ceiling of ${max}`, "bounds");
  return null;
}

/** The recommendation within min…max, with a note if it was cut. */
export function clamp(answer: Recommendation, { min, max }: Snapshot): Recommendation {
  if (answer.kind === "hold") return answer;
  const nodes = Math.min(Math.max(answer.nodes, min), max);
  if (nodes === answer.nodes) return answer;
  const limit = nodes === max ? `at most ${max}` : `at least ${min}`;
  return { ...answer, nodes, because: `${answer.because}, ${limit}`, cut: answer.nodes > max };
}

/** `answer` for a size that is computed from the load; a smaller one takes idle nodes only. */
export function sizeByLoad(load: number, why: string, from: Snapshot): Recommendation {
  const { desired, spare, min, taken = 0 } = from;
  const target = Math.max(load + taken, min);
  const because = taken === 0 ? why : `${why}, beside ${taken} idle that others cordoned`;
  const least = desired - spare;
  if (target >= desired || least <= target) return size(target, because);
  const verb = spare === 1 ? "is" : "are";
  const idle = spare === 0 ? "no node is idle" : `only ${spare} of its nodes ${verb} idle`;
  return size(least, `${because} needs ${target}, but ${idle}`);
}

/**
 * A node as the `idle` autoscaler counts it; `null` = it leaves the pool. One that is repaired
 * comes back or is replaced, so nothing is bought for it a second time.
 */
export function workerOf(node: Node, sight: Sight): WorkerSight | null {
  const { id, phase } = node;
  const work = workOn(sight, id);
  const as = (state: Worker["state"], busy = 0): WorkerSight => ({ id, state, busy });
  switch (phase.kind) {
    case "requested":
    case "booting":
    case "bootstrapping":
    case "suspect":
    case "repairing":
    case "replacing":
      return as("pending");
    case "verifying":
      return work.kind === "busy" ? as("running", work.remaining) : as("pending");
    case "serving":
      if (isIdle(work)) return isTakenOut(node) ? as("running") : as("idle");
      return work.kind === "busy" ? as("running", work.remaining) : as("unknown");
    case "held":
      return as("running", Number.POSITIVE_INFINITY);
    case "draining":
    case "terminating":
      return isGivenUp(phase.purpose) ? null : as("pending");
    case "gone":
      return null;
    default:
      return unreachable(phase);
  }
}

function isGivenUp(purpose: string): boolean {
  return purpose === "scale_down" || purpose === "surplus" || purpose === "preempted";
}

/**
 * The pool's registered nodes, and how many are spare or taken out by others. A node that leaves is
 * neither capacity nor a carrier of load.
 */
export function countNodes(
  nodes: Iterable<Node>,
  sight: Sight,
): { registered: Node[]; spare: number; taken: number } {
  const registered: Node[] = [];
  let spare = 0;
  let taken = 0;
  for (const node of nodes) {
    switch (node.phase.kind) {
      case "requested":
      case "booting":
        spare++;
        break;
      case "verifying":
        // The cluster may place work on it before it counts as a node.
        if (workOn(sight, node.id).kind !== "busy") spare++;
        break;
      case "serving":
        registered.push(node);
        // Unknown work is not idle.
        if (!isIdle(workOn(sight, node.id))) break;
        if (isTakenOut(node)) taken++;
        else spare++;
        break;
      case "suspect":
      case "repairing":
      case "replacing":
      case "held":
        registered.push(node);
        break;
      case "bootstrapping":
      case "draining":
      case "terminating":
      case "gone":
        break;
      default:
        unreachable(node.phase);
    }
  }
  return { registered, spare, taken };
}
