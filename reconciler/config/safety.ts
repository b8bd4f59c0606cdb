/**
 * `safety`: what may be done at once and what it may cost (docs/reference/safety.md). Everything
 * has a default, so that a configuration that says nothing is a careful one. Pools and providers
 * have a `spend` of their own.
 */
import type { Limits, SafetyConfig, Share, Spend } from "../../schema/config.ts";
import type { Section } from "./section.ts";
import { readShare } from "./share.ts";

const percent = (value: number): Share => ({ kind: "percent", percent: value });

/** The share of pool and domain, then the fleet's. */
const LIMITS = {
  isolate: { pool: percent(20), domain: percent(20), fleet: percent(10) },
  drain: { pool: percent(10), domain: percent(10), fleet: percent(5) },
  gpu_reset: { pool: percent(10), domain: percent(10), fleet: percent(5) },
  reboot: { pool: percent(10), domain: percent(10), fleet: percent(5) },
  replace: { pool: percent(5), domain: percent(5), fleet: percent(2) },
} as const;

const WINDOW_MS = 10 * 60_000;
const LONG_WINDOW_MS = 60 * 60_000;

export function readSafety(safety: Section): SafetyConfig {
  const budgets = safety.map("budgets");
  const isolate = budgets.map("isolate");
  const window = isolate.duration("window", { min: 1_000 });
  const read = {
    isolate: { ...readLimits(isolate, LIMITS.isolate), windowMs: window ?? WINDOW_MS },
    drain: readLimits(budgets.map("drain"), LIMITS.drain),
    gpuReset: readLimits(budgets.map("gpu_reset"), LIMITS.gpu_reset),
    reboot: readLimits(budgets.map("reboot"), LIMITS.reboot),
    replace: readLimits(budgets.map("replace"), LIMITS.replace),
  };
  budgets.finish();
  const breaker = readBreaker(safety.map("breaker"));
  const spend = readSpend(safety.map("spend"));
  safety.finish();
  return { budgets: read, breaker, spend };
}

function readLimits(section: Section, fallback: Limits): Limits {
  const limits = {
    pool: readShare(section, "pool") ?? fallback.pool,
    domain: readShare(section, "domain") ?? fallback.domain,
    fleet: readShare(section, "fleet") ?? fallback.fleet,
  };
  section.finish();
  return limits;
}

function readBreaker(section: Section): SafetyConfig["breaker"] {
  const enabled = section.flag("enabled") ?? true;
  const windowMs = section.duration("window", { min: 60_000 }) ?? WINDOW_MS;
  const longWindowMs = section.duration("long_window", { min: 60_000 }) ?? LONG_WINDOW_MS;
  if (longWindowMs < windowMs) {
    section.fail("long_window", "range", "must not be shorter than window");
  }
  const breaker = {
    enabled,
    windowMs,
    longWindowMs,
    probability: section.number("probability", { min: 1e-12, max: 0.5 }) ?? 1e-6,
    // Reported rates of large fleets are 3.8 to 6.5 per 1,000 node-days.
    ratePrior: section.number("rate", { min: 0.01 }) ?? 5,
    rateMin: section.number("rate_min", { min: 0.01 }) ?? 1,
    rateMax: section.number("rate_max", { min: 0.01 }) ?? 20,
  };
  section.finish();
  return breaker;
}

/** Ceilings of the fleet, a pool or a provider. */
export function readSpend(section: Section): Spend {
  const spend = {
    perHourMax: section.number("max_per_hour", { min: 0 }),
    instancesMax: section.integer("max_instances", { min: 0 }),
  };
  section.finish();
  return spend;
}
