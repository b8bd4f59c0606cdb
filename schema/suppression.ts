/** What a person has set aside by giving a node back in spite of evidence. */
import * as v from "valibot";
import { LIMIT } from "./limit.ts";
import { instant } from "./number.ts";

const text = v.string();

/**
 * A person gave the node back although evidence is held against it: that evidence moves nothing
 * any more until it has been gone once. New evidence does.
 */
export const Suppression = v.object({
  by: text,
  why: text,
  at: instant,
  /** When people were last reminded that it stands against broken hardware. */
  remindedAt: v.optional(instant),
  /** Keys of the evidence that was known then, see `evidenceKeys`. */
  evidence: v.pipe(v.array(text), v.maxLength(LIMIT.evidenceMax)),
});
export type Suppression = v.InferOutput<typeof Suppression>;
