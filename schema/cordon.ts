/** A cordon of a node: by whom, why and what for. */
import * as v from "valibot";
import { instant } from "./number.ts";

/** What Navarch's own cordon is for. `why` is for people: a node's own words can be in it. */
const CORDON_CAUSES = [
  /** Evidence against the node, or its silence. */
  "fault",
  /** The pool became smaller. */
  "scale_down",
  /** A person removed this node by its name: it leaves whatever runs on it, after a drain. */
  "removed",
  /** The slot has another node. */
  "surplus",
  /** The cloud takes the machine back. */
  "preempted",
  /** It did not come into service. */
  "failed",
] as const;
export const CordonCause = v.picklist(CORDON_CAUSES);
export type CordonCause = v.InferOutput<typeof CordonCause>;

/**
 * A cordon has an owner; Navarch lifts only its own (law 10). `cause` is missing in a person's
 * cordon and in rows of releases that had none.
 */
export const Cordon = v.object({
  by: v.string(),
  why: v.string(),
  at: instant,
  cause: v.optional(CordonCause),
});
export type Cordon = v.InferOutput<typeof Cordon>;
