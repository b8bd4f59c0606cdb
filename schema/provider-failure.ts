/** Failures that a person lets a simulated provider have for a while. */
import * as v from "valibot";
import { count } from "./number.ts";

export const FAILURE_CLASSES = {
  /** Purchases are refused for want of capacity. */
  capacity: "purchases refused: no capacity",
  /** Every call is refused. */
  rate_limit: "every call refused: rate limit",
  auth: "every call refused: credentials",
  /** No call reaches the provider. */
  outage: "no call arrives",
  /** Changes take effect, and their answers are lost. */
  lost_reply: "changes take effect, replies are lost",
  /** Every answer is late. */
  slow: "every answer is late",
} as const;
export type FailureClass = keyof typeof FAILURE_CLASSES;

export const FAILURE = {
  /** How long it lasts unless said otherwise, and at most. */
  forMs: 600_000,
  forMsMax: 86_400_000,
  /** How late answers are: more than a minute and the loop gives the call up. */
  delayMs: 20_000,
  delayMsMax: 300_000,
  callsMax: 1_000_000,
};

/** It ends at `untilMs` (wall), or after `calls` failed calls; `null` = any number. */
export type ProviderFailure = {
  class: FailureClass;
  untilMs: number;
  calls: number | null;
  delayMs: number;
  by: string;
};

/** The body of a request. */
export const FailureAsked = v.strictObject({
  class: v.picklist(Object.keys(FAILURE_CLASSES) as FailureClass[]),
  for: v.nullish(v.string("expected a duration, for example 5m"), null),
  calls: v.nullish(v.pipe(count, v.minValue(1), v.maxValue(FAILURE.callsMax)), null),
  delay: v.nullish(v.string("expected a duration, for example 20s"), null),
});
