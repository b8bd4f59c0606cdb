/**
 * Recorded findings as they are given out and exported, so that another policy can be tried on what
 * really happened. A line of an export is one `RecordedFinding`; it carries what a condition may
 * ask about the node, so that a file can be read without the control plane.
 */
import * as v from "valibot";
import { Finding } from "./finding.ts";
import { NodeId } from "./id.ts";
import { InstantText } from "./instant.ts";
import { count } from "./number.ts";


/** What is known of the node now; what it was when the finding came is not recorded. */
export const RecordedNode = v.object({
  pool: v.nullable(v.string()),
  labels: v.record(v.string(), v.string()),
  gpu_count: count,
  driver_version: v.string(),
  fake: v.boolean(),
  /** Unhealthy evaluations in a row that its pool asks for. */
  threshold: v.pipe(count, v.minValue(1)),
  /** Milliseconds between full checks. */
  check_ms: v.pipe(count, v.minValue(1)),
  /** False for a node that the control plane has forgotten: all of the above is a guess. */
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
  /** Give it as `after` for the next page; a page without findings is the last. */
  next: number | null;
};
