/** The `safety` and `spend` sections in the words of a configuration file. */
import type { Limits, SafetyConfig, Spend } from "../../schema/config.ts";
import { formatDuration } from "../../schema/duration.ts";
import { formatShare } from "./share.ts";

type Plain = Record<string, unknown>;

export function formatSafety({ budgets, breaker, spend }: SafetyConfig): Plain {
  const limits = ({ pool, domain, fleet }: Limits): Plain => ({
    pool: formatShare(pool),
    domain: formatShare(domain),
    fleet: formatShare(fleet),
  });
  return {
    budgets: {
      isolate: { ...limits(budgets.isolate), window: formatDuration(budgets.isolate.windowMs) },
      drain: limits(budgets.drain),
      gpu_reset: limits(budgets.gpuReset),
      reboot: limits(budgets.reboot),
      replace: limits(budgets.replace),
    },
    breaker: {
      enabled: breaker.enabled,
      window: formatDuration(breaker.windowMs),
      long_window: formatDuration(breaker.longWindowMs),
      probability: breaker.probability,
      rate: breaker.ratePrior,
      rate_min: breaker.rateMin,
      rate_max: breaker.rateMax,
    },
    spend: formatSpend(spend),
  };
}

/** `null` without any ceiling: a key without a value says nothing. */
export function formatSpend({ perHourMax, instancesMax }: Spend): Plain | null {
  if (perHourMax === null && instancesMax === null) return null;
  return { max_per_hour: perHourMax, max_instances: instancesMax };
}
