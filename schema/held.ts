/**
 * Judged findings in a node's document: those that are part of its verdict until they are over, and
 * the history in which rules with a window count. Both are bounded.
 */
import * as v from "valibot";
import { Finding } from "./finding.ts";
import { count, finite, instant, instantOfNode, positive } from "./number.ts";
import { Judgement } from "./policy.ts";

/** One latched finding. All times are milliseconds of the control plane's clock. */
export const HeldFinding = v.object({
  /** `<kind>/<code>/<gpu>` with a code, else `<kind>/<reason>/<gpu>` as in `Check.active`. */
  key: v.pipe(v.string(), v.maxLength(200)),
  /** The occurrence that decided: the worst so far, and of equals the newest. */
  finding: Finding,
  judgement: Judgement,
  firstAt: instant,
  lastAt: instant,
  /** Occurrences under this key, merged ones included. */
  count: positive,
  /** Clean evaluations in a row since `lastAt`. */
  cleanSince: count,
  /** Version of the agent that reported it last; absent in older documents. */
  agent: v.optional(v.nullable(v.string())),
  /** A reset of this GPU was seen since `lastAt`; a clean check is missing. */
  resetSeen: v.nullish(v.boolean(), false),
});
export type HeldFinding = v.InferOutput<typeof HeldFinding>;

/**
 * A stretch in which a rule matched the same fault on one GPU: lines close together, one
 * occurrence for each begun five minutes. Times are the node's own (`Finding.at`), milliseconds
 * since the epoch.
 */
export const PastFinding = v.object({
  rule: v.pipe(v.string(), v.maxLength(128)),
  kind: v.pipe(v.string(), v.maxLength(16)),
  code: v.nullable(count),
  gpu: v.pipe(v.string(), v.maxLength(96)),
  link: v.nullable(finite),
  fromAt: instantOfNode,
  toAt: instantOfNode,
  count: positive,
  /** Matched a shadow or suspended rule. */
  shadow: v.optional(v.boolean()),
});
export type PastFinding = v.InferOutput<typeof PastFinding>;

/** Oldest first. */
export const FindingHistory = v.pipe(v.array(PastFinding), v.maxLength(256));
export type FindingHistory = readonly PastFinding[];

/** How often one fault was seen: lines that told of it, and occurrences that they stand for. */
export type Repeats = { lines: number; occurrences: number };
