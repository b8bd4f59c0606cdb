/**
 * What judging must remember about one node, in a form that can be stored in the node's document:
 * the findings that are part of its verdict until something clears them, and the short history that
 * windowed rules count. Both are bounded, so that a flood can never grow a document.
 */
import * as v from "valibot";
import { Finding } from "./finding.ts";
import { count, finite, instant, instantOfNode, positive } from "./number.ts";
import { Judgement } from "./policy.ts";


/** One latched finding. All times are milliseconds of the control plane's clock. */
export const HeldFinding = v.object({
  /**
   * `<kind>/<code>/<gpu>` with a code, else `<kind>/<reason>/<gpu>`; gpu = UUID, else PCI address,
   * else `node`. The second form is the one of `Check.active`, which is how a check says "still
   * true".
   */
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
  /** The agent's version that said so last; absent in older documents. */
  agent: v.optional(v.nullable(v.string())),
  /**
   * A reset of this GPU was seen since `lastAt`; what is missing for a release is a clean check.
   */
  resetSeen: v.nullish(v.boolean(), false),
});
export type HeldFinding = v.InferOutput<typeof HeldFinding>;

/**
 * One stretch in which a rule kept matching the same thing on the same GPU. Lines of one burst form
 * one stretch, so counting stretches counts faults and not printed lines. Times are the node's own
 * (`Finding.at`), milliseconds since the epoch.
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
  /** Matched while the rule was a shadow or in quarantine: it decided nothing. */
  shadow: v.optional(v.boolean()),
});
export type PastFinding = v.InferOutput<typeof PastFinding>;

/** What came before on this node, oldest first. Stored beside the held findings. */
export const FindingHistory = v.pipe(v.array(PastFinding), v.maxLength(256));
export type FindingHistory = readonly PastFinding[];
