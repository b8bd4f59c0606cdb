/** Evidence that a person suppressed by returning a node to service. */
import * as v from "valibot";
import { LIMIT } from "./limit.ts";
import { instant } from "./number.ts";

const text = v.string();

/**
 * Suppressed evidence has no effect until it has disappeared once; if it then returns, it counts as
 * new. Other evidence is not suppressed.
 */
export const Suppression = v.object({
  by: text,
  why: text,
  at: instant,
  /** Last reminder that it suppresses broken hardware. */
  remindedAt: v.optional(instant),
  /** Keys of the known evidence, see `evidenceKeys`. */
  evidence: v.pipe(v.array(text), v.maxLength(LIMIT.evidenceMax)),
});
export type Suppression = v.InferOutput<typeof Suppression>;
