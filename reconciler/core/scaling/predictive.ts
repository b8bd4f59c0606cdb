/**
 * The trend of the pool's own utilisation. Pure. It works on one series of pool-level values,
 * because a line through samples of different machines is no trend; it only ever asks for more, and
 * leaves everything else to its fallback.
 */
import type { Autoscaler } from "../../../schema/config.ts";
import { boundedGrowth } from "./reactive.ts";
import { hold, formatPercent, size, type Ask, type Recommendation } from "./snapshot.ts";
import type { Snapshot } from "./snapshot.ts";

type Predictive = Extract<Autoscaler, { type: "predictive" }>;

/**
 * Predicted utilisation above which more nodes are asked for, and the one they should then have.
 */
const LIMIT_PERCENT = 80;
const GOAL_PERCENT = 70;

export function recommendPredictive(
  autoscaler: Predictive,
  snapshot: Snapshot,
  ask: Ask<Autoscaler>,
): Recommendation {
  const { lookbackWindow, growthFactor, fallback } = autoscaler;
  const { history, utilization, desired, registered } = snapshot;
  const rest = (because: string, cause: "unknown" | "quiet" = "quiet"): Recommendation =>
    fallback === null ? hold(because, cause) : ask(fallback, snapshot);
  if (utilization === null) return rest("GPU utilisation is unknown", "unknown");
  if (history.length < lookbackWindow) {
    return rest(`${history.length} of ${lookbackWindow} samples are there for a trend`);
  }
  const slope = slopeOf(history.slice(-lookbackWindow));
  const predicted = utilization + slope * growthFactor;
  const seen = `predicted GPU utilisation ${formatPercent(predicted)}`;
  if (predicted <= LIMIT_PERCENT) return rest(`${seen} is not above ${LIMIT_PERCENT} %`);
  const wanted = Math.max(Math.ceil((desired * predicted) / GOAL_PERCENT - 1e-9), desired + 1);
  const nodes = boundedGrowth(wanted, (registered * predicted) / GOAL_PERCENT, 1, snapshot);
  if (nodes > desired) return size(nodes, `${seen} is above ${LIMIT_PERCENT} %`);
  return size(desired, `${seen}, and what was bought for it is still coming up`);
}

/** Slope of the least-squares line through equally spaced values, per sample. */
export function slopeOf(values: readonly number[]): number {
  const n = values.length;
  if (n < 2) return 0;
  const middle = (n - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  let above = 0;
  let below = 0;
  for (const [index, value] of values.entries()) {
    above += (index - middle) * (value - mean);
    below += (index - middle) ** 2;
  }
  return above / below;
}
