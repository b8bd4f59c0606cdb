/** Keys of `safety`: what may be done at once, and what it may cost. */
import { duration, flag, integer, mapping, number, type More, share } from "./field.ts";

/** Ceilings of the fleet, a pool or a provider. */
export const SPEND = {
  max_per_hour: number("Maximum cost.", {
    unit: "US dollars an hour",
    min: 0,
    as: "perHourMax",
  }),
  max_per_month: number("Maximum cost of a calendar month (UTC): stops growth, ends nothing.", {
    unit: "US dollars",
    min: 0,
    as: "perMonthMax",
  }),
  max_instances: integer("Maximum number of instances.", { min: 0, as: "instancesMax" }),
};

const percent = (value: number) => ({ kind: "percent", percent: value }) as const;
type Percents = readonly [pool: number, domain: number, fleet: number];
type Unused = Pick<More<0>, "unused">;

const limits = (what: string, [pool, domain, fleet]: Percents, more: Unused = {}) => ({
  pool: share(`Nodes of a pool that may be ${what} at once.`, { default: percent(pool), ...more }),
  domain: share("The same for a failure domain, such as a rack.", {
    default: percent(domain),
    ...more,
  }),
  fleet: share("The same for the fleet.", { default: percent(fleet), ...more }),
});

export const BREAKER = {
  enabled: flag("Stop repairs when the failure rate is above what hardware explains.", {
    default: true,
  }),
  window: duration("Short window over which failures are counted.", {
    min: 60_000,
    default: 600_000,
  }),
  long_window: duration("Long window.", { min: 60_000, default: 3_600_000 }),
  probability: number("A burst with a lower probability than this stops repairs.", {
    min: 1e-12,
    max: 0.5,
    default: 1e-6,
  }),
  // Reported rates of large fleets are 3.8 to 6.5 per 1,000 node-days.
  rate: number("Expected failures per 1,000 node-days before any were seen.", {
    min: 0.01,
    default: 5,
    as: "ratePrior",
  }),
  rate_min: number("Lower bound of the learned rate.", { min: 0.01, default: 1 }),
  rate_max: number("Upper bound of the learned rate.", { min: 0.01, default: 20 }),
};

/** Everything has a default, so that a configuration that says nothing is a careful one. */
export const SAFETY = {
  budgets: mapping("Nodes that may be out at once.", {
    isolate: mapping("New cordons for health.", {
      ...limits("cordoned for health", [20, 20, 10]),
      window: duration("New cordons for health count this long, replaced or not.", {
        min: 1_000,
        default: 600_000,
      }),
    }),
    drain: mapping("Drains.", limits("drained", [10, 10, 5])),
    gpu_reset: mapping("Resets.", limits("reset", [10, 10, 5], { unused: true })),
    reboot: mapping("Reboots.", limits("rebooted", [10, 10, 5])),
    replace: mapping("Replacements.", limits("replaced", [5, 5, 2])),
  }),
  breaker: mapping("When repairs stop.", BREAKER),
  spend: mapping("Ceilings of the fleet.", SPEND),
};
