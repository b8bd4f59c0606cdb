/** The answer of `GET /v1/cost`: snake_case keys, RFC 3339 times, US dollars, UTC days. */

import type { OtherFleetView } from "./fleet-view.ts";

/** What is billed in one pool, at one provider, or in the fleet. */
export type CostRow = {
  /** Empty: instances of no pool. */
  name: string;
  /** Billed now, and of those the ones of unknown price. */
  instances: number;
  unknown_prices: number;
  /** Of known price. */
  per_hour: number;
  today: number;
  /** In the period of the answer. */
  period: number;
  /** Instance-hours in the period whose price was never known; not included in `period`. */
  unknown_hours: number;
  /** The calendar month, if all goes on as now; `null` for another period. */
  projected: number | null;
  per_hour_max: number | null;
  per_month_max: number | null;
};

/** Why an instance costs money without serving. */
export const COST_STATES = [
  "serving",
  "starting",
  "repairing",
  "silent",
  "draining",
  "held",
  "surplus",
  "terminating",
] as const;
export type CostState = (typeof COST_STATES)[number];

export type CostInstanceView = {
  node_id: string;
  instance_id: string;
  pool: string | null;
  provider: string;
  since: string;
  /** `null` = unknown. */
  price_per_hour: number | null;
  /** Since `since`, at the current price. */
  accrued: number | null;
};

/** Instances in one state that is not `serving`, the most expensive first. */
export type CostGroup = {
  state: CostState;
  count: number;
  unknown_prices: number;
  per_hour: number;
  accrued: number;
  instances: CostInstanceView[];
};

export type CostView = {
  at: string;
  /** The period, by whole days; `to` is its end or, while it lasts, the time of the answer. */
  from: string;
  to: string;
  /** `2026-11` if the period is that month. */
  month: string | null;
  total: CostRow;
  pools: CostRow[];
  providers: CostRow[];
  idle: CostGroup[];
  /** Purchases whose outcome is open: not included above, and billed if the cloud accepted them. */
  open_purchases: { count: number; unknown_prices: number; per_hour: number; possible: number };
  /** Machines of other fleets with a pool's name, not included: perhaps a lost state's. */
  other_fleets?: OtherFleetView[];
  /** Oldest first. */
  days: { day: string; dollars: number; unknown_hours: number }[];
};

/** What a pool costs, in its status. */
export type PoolCostView = {
  per_hour: number;
  unknown_prices: number;
  today: number;
  month: number;
  month_max: number | null;
};
