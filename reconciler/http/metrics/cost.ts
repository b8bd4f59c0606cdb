/** The gauges and the counter of money (docs/money.md). */
import { monthOf } from "../../core/cost/calendar.ts";
import { accountsIn, spanToDate } from "../../core/cost/sum.ts";
import type { Reconciler } from "../../runtime/loop.ts";
import { ratesByState } from "../view/cost.ts";
import { Series } from "./series.ts";

/**
 * A counter may only fall to begin again: a clock that steps back by a second must not look like a
 * new month. One per process, because each process has series of its own.
 */
export class CostPeaks {
  private month = "";
  private readonly peaks = new Map<string, number>();

  raise(month: string, key: string, value: number): number {
    // An earlier month is the clock's error as well.
    if (month > this.month) {
      this.month = month;
      this.peaks.clear();
    }
    const peak = Math.max(value, this.peaks.get(key) ?? 0);
    this.peaks.set(key, peak);
    return peak;
  }
}

export function formatCost(reconciler: Reconciler, peaks: CostPeaks): Uint8Array[] {
  const rates = new Series("navarch_cost_dollars_per_hour");
  const unknown = new Series("navarch_cost_unknown_prices");
  const spent = new Series("navarch_cost_month_dollars_total", "counter");
  const now = reconciler.lastSight()?.now;
  if (now !== undefined) {
    const fleet = reconciler.fleet();
    for (const { pool, provider, state, rate } of ratesByState(fleet.nodes.values())) {
      rates.add({ pool, provider, state }, rate.perHour);
      unknown.add({ pool, provider, state }, rate.unknown);
    }
    for (const { pool, provider, dollars } of accountsIn(fleet, spanToDate(now), now)) {
      const value = peaks.raise(monthOf(now), JSON.stringify([pool, provider]), dollars);
      spent.add({ pool, provider }, value);
    }
  }
  return [rates, unknown, spent].map((series) => series.take());
}
