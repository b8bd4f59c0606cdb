/**
 * What an autoscaler reads and what it answers, as plain values: a recommendation is a pure
 * function of a snapshot. `null` always means "not known", never zero.
 */
import type { Node } from "../../../schema/node.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import { type Sight, workOn } from "../fleet.ts";

export type Snapshot = {
  /** The stored wanted size, which rules use as the current one: all of it is owned or bought. */
  desired: number;
  /** Nodes whose agent has reported and that are not leaving. */
  registered: number;
  /** Nodes that can be removed without ending work. */
  spare: number;
  min: number;
  max: number;
  /** Mean of the pool's GPUs in percent, from fresh samples. */
  utilization: number | null;
  /** Pending and running jobs, and the GPUs that they request. */
  queueDepth: number | null;
  gpuDepth: number | null;
  /** Pool utilisation, one value an evaluation, oldest first. */
  history: readonly number[];
  /** Wall milliseconds. */
  now: number;
};

export type Recommendation =
  /**
   * `bounds` is a floor or ceiling and waits for no cooldown; `signal` is an autoscaler's opinion.
   */
  | { kind: "size"; nodes: number; because: string; cause: "bounds" | "signal" }
  /**
   * The size stays, and a composite does not count this member. `unknown`: a signal is missing,
   * which is reported to people; `quiet`: the rule does not apply now.
   */
  | { kind: "hold"; because: string; cause: "unknown" | "quiet" };

type Size = Extract<Recommendation, { kind: "size" }>;

export function size(nodes: number, because: string, cause: Size["cause"] = "signal"): Size {
  return { kind: "size", nodes, because, cause };
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
  return { ...answer, nodes, because: `${answer.because}, ${limit}` };
}

/**
 * The pool's registered nodes and the number of spare ones. A node that leaves is neither capacity
 * nor a carrier of load.
 */
export function countNodes(
  nodes: Iterable<Node>,
  sight: Sight,
): { registered: Node[]; spare: number } {
  const registered: Node[] = [];
  let spare = 0;
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
        if (workOn(sight, node.id).kind === "empty") spare++;
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
  return { registered, spare };
}
