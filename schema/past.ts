/**
 * Recorded findings, for trying another policy on them. A line of an export is one
 * `RecordedFinding`, with the node's fields for conditions, so that it needs no control plane.
 */
import * as v from "valibot";
import { Finding } from "./finding.ts";
import { NodeId } from "./id.ts";
import { InstantText } from "./instant.ts";
import { count } from "./number.ts";

/** The node as it is now; its past is not recorded. */
export const RecordedNode = v.object({
  pool: v.nullable(v.string()),
  labels: v.record(v.string(), v.string()),
  gpu_count: count,
  driver_version: v.string(),
  fake: v.boolean(),
  /** The pool's `unhealthy_threshold`. */
  threshold: v.pipe(count, v.minValue(1)),
  /** Milliseconds between full checks. */
  check_ms: v.pipe(count, v.minValue(1)),
  /** False for a forgotten node: the values above are assumed. */
  known: v.boolean(),
});
export type RecordedNode = v.InferOutput<typeof RecordedNode>;

export const RecordedFinding = v.object({
  id: count,
  node_id: NodeId,
  /** By the control plane's clock, RFC 3339. */
  received_at: InstantText,
  finding: Finding,
  node: RecordedNode,
});
export type RecordedFinding = v.InferOutput<typeof RecordedFinding>;

/** One page of `GET /findings`; `nodes` has an entry for each node in it. */
export type RecordedPage = {
  findings: Omit<RecordedFinding, "node">[];
  nodes: Record<string, RecordedNode>;
  /** `after` of the next page; a page without findings is the last. */
  next: number | null;
};
