/** The time of a run: a clock, and a way to let it pass. Virtual or real, nothing else differs. */
import type { Clock } from "../../reconciler/core/clock.ts";

export type Time = Clock & {
  /** Lets this many milliseconds of the run pass; everything due happens on the way. */
  pass(ms: number): Promise<void>;
};
