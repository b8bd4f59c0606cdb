/** Evidence that a person suppressed by returning a node to service. */
import * as v from "valibot";
import { LIMIT } from "./limit.ts";
import { instant } from "./number.ts";

const text = v.string();

/** The suppressed evidence has no effect until it has been absent once; new evidence has. */
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
