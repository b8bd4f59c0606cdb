/**
 * The learned failure rate (docs/reference/safety.md#failure-rate): confirmed hardware failures per
 * node-day, both with a half-life of 14 days. Pure. Stored only with a confirmed failure; the time
 * since is computed on read.
 */
import type { SafetyConfig } from "../../../schema/config.ts";
import type { FactOf } from "../../../schema/safety.ts";

type Rate = FactOf<"rate">;

const DAY_MS = 86_400_000;
const HALF_LIFE_DAYS = 14;
/** Weight of the prior, in node-days. */
const PRIOR_NODE_DAYS = 1_000;

/** The stored rate as of `now`: `nodes` is the size of the fleet meanwhile. */
function ageRate(
  rate: Rate | null,
  config: SafetyConfig["breaker"],
  nodes: number,
  now: number,
): Rate {
  if (rate === null) {
    const failures = (config.ratePrior / 1_000) * PRIOR_NODE_DAYS;
    return { kind: "rate", failures, nodeDays: PRIOR_NODE_DAYS, at: now };
  }
  const days = Math.max(0, now - rate.at) / DAY_MS;
  const left = 2 ** (-days / HALF_LIFE_DAYS);
  // The integral of the node-days that were added during the decay.
  const added = (nodes * HALF_LIFE_DAYS * (1 - left)) / Math.LN2;
  return {
    kind: "rate",
    failures: rate.failures * left,
    nodeDays: rate.nodeDays * left + added,
    at: now,
  };
}

/** Failures per 1,000 node-days, inside the configured bounds. */
export function rateOf(
  rate: Rate | null,
  config: SafetyConfig["breaker"],
  nodes: number,
  now: number,
): number {
  const aged = ageRate(rate, config, nodes, now);
  const learned = aged.nodeDays <= 0 ? config.ratePrior : (aged.failures / aged.nodeDays) * 1_000;
  return Math.min(config.rateMax, Math.max(config.rateMin, learned));
}

/** One more confirmed hardware failure. */
export function countFailure(
  rate: Rate | null,
  config: SafetyConfig["breaker"],
  nodes: number,
  now: number,
): Rate {
  const aged = ageRate(rate, config, nodes, now);
  return { ...aged, failures: aged.failures + 1 };
}
