/** An autoscaler's decision about a pool's size, as it is stored. */
import * as v from "valibot";
import { count, instant } from "./number.ts";

export const ScalingDecision = v.object({
  verdict: v.picklist(["hold", "steady", "cooldown", "scaled"]),
  because: v.string(),
  /** The autoscaler wanted more than the pool's `max_nodes`. */
  cut: v.optional(v.boolean()),
  at: instant,
});

/** A queue as reported from outside. */
export const ReportedQueue = v.object({
  pendingJobs: count,
  queueDepth: count,
  observedAt: instant,
  by: v.string(),
});
