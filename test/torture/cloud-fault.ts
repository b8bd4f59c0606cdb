/**
 * How a cloud misbehaves for a while: accepted and timed out, lost, late, out of stock, throttled,
 * lagging. Each is a fault document of the fake cloud. Refusals carry a short `retryAfterMs`, which
 * the product honours, or one stock-out would keep a pool still for half a minute.
 */
import type { Faults } from "../../reconciler/provider/fake/fault.ts";
import type { Random } from "./random.ts";

/** Landing and lag that are in time: together below `SETTLE_MS`. */
const LATE_MS = 300;
const LAG_MS = 300;
/** Far beyond `SETTLE_MS`: a tag-only cloud may then make a surplus, which must be ended. */
const TOO_LATE_MS = 2_500;
const RETRY_MS = 300;

const KINDS = {
  none: 35,
  slowAnswer: 10,
  lostReply: 10,
  lostAsk: 6,
  lateLanding: 8,
  tooLate: 4,
  stockOut: 6,
  throttled: 6,
  throttledEnd: 4,
  failedEnd: 4,
  lag: 5,
  listFails: 4,
  duplicate: 2,
};

export const CALM: Faults = {};

export function drawCloudFault(random: Random): { name: string; faults: Faults } {
  const name = random.weighted(KINDS);
  return { name, faults: faultsOf(name, random) };
}

function faultsOf(name: keyof typeof KINDS, random: Random): Faults {
  const times = random.whole(1, 3);
  const refusal = { times, retryAfterMs: RETRY_MS };
  switch (name) {
    case "none":
      return CALM;
    case "slowAnswer":
      // The effect is at once and the answer comes later: a kill lands in between.
      return { createDelayMs: random.whole(50, 400), terminateDelayMs: random.whole(50, 400) };
    case "lostReply":
      return { loseReply: { create: 0.5, terminate: 0.5 } };
    case "lostAsk":
      return { loseAsk: { create: 0.3, terminate: 0.3 } };
    case "lateLanding":
      return { lateLandingMs: random.whole(50, LATE_MS), lateLanding: 0.6 };
    case "tooLate":
      return { lateLandingMs: TOO_LATE_MS, lateLanding: 0.5 };
    case "stockOut":
      return { refuse: { class: "capacity", message: "out of stock", ...refusal } };
    case "throttled":
      return { refuse: { class: "rate_limit", message: "429", ...refusal } };
    case "throttledEnd":
      return { refuseTerminate: { class: "rate_limit", times } };
    case "failedEnd":
      return { terminateFails: times };
    case "lag":
      return { listLagMs: random.whole(50, LAG_MS) };
    case "listFails":
      return { listFails: times };
    case "duplicate":
      return { duplicateListing: true };
  }
}
