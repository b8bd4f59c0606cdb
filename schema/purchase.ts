/** What is stored about purchases: whether they come up, and what the cloud says of them. */
import * as v from "valibot";
import { count, finite, instant } from "./number.ts";

/** How an instance is paid for; `reserved` names a reservation or capacity block. */
export const MARKETS = ["on-demand", "spot", "reserved"] as const;
export type Market = (typeof MARKETS)[number];

/**
 * What a pool sets over its provider's settings, by their names in the normalised configuration. A
 * purchase keeps them.
 */
export const MachineSettings = v.record(v.string(), v.union([v.string(), finite, v.boolean()]));
export type MachineSettings = v.InferOutput<typeof MachineSettings>;

/** Why the cloud gave up an accepted purchase, by the classes of a refused call. */
export const FailedPurchase = v.object({
  class: v.picklist([
    "bad_request",
    "capacity",
    "quota",
    "rate_limit",
    "auth",
    "billing",
    "stale_fence",
  ]),
  message: v.string(),
});

/** An announced interruption; `atMs` by the provider's clock, `null` = not announced. */
export const Notice = v.object({
  kind: v.picklist(["preemption", "maintenance"]),
  atMs: v.nullable(instant),
  message: v.string(),
});

/** By offer and set-up; outcomes: true = verified. */
export const Guards = v.record(
  v.string(),
  v.object({
    failures: count,
    outcomes: v.array(v.boolean()),
    notBefore: instant,
    at: instant,
  }),
);
