/** The trend of a pool's utilisation, and what it predicts. Pure. */

/** Share of the variation that the line must explain before its slope counts. */
const CONFIDENCE_MIN = 0.5;

/** Variation that is a rounding error. */
const EPSILON = 1e-9;

export type Forecast = {
  /** Percent; at most 100, as no GPU is busier. */
  utilization: number;
  /** How far ahead. */
  horizonMs: number;
  samples: number;
  /** Share of the variation that the line explains, 0 to 1. */
  confidence: number;
};

/** Utilisation in percent from which nodes count as full. */
export const FULL_PERCENT = 98;

type Seen = { history: readonly (number | null)[]; utilization: number; intervalMs: number };

/**
 * The utilisation at the horizon, if the line through the samples goes on, its slope multiplied by
 * `growth`. A line that explains less than half of the variation is noise, and counts as flat; so
 * does one through nodes that were full.
 */
export function forecast(
  { history, utilization, intervalMs }: Seen,
  horizonMs: number,
  growth: number,
): Forecast {
  const known = history.filter((one) => one !== null);
  const confidence = known.length < history.length ? 0 : fitOf(known);
  const slope = confidence < CONFIDENCE_MIN ? 0 : slopeOf(known);
  const ahead = utilization + slope * (horizonMs / intervalMs) * growth;
  const bounded = Math.min(100, Math.max(0, ahead));
  return { utilization: bounded, horizonMs, samples: history.length, confidence };
}

/** Slope of the least-squares line through equally spaced values, per sample. @internal */
export function slopeOf(values: readonly number[]): number {
  const { covariance, spread } = momentsOf(values);
  return spread === 0 ? 0 : covariance / spread;
}

/** Share of the variation that the least-squares line explains; 1 if nothing varies. @internal */
export function fitOf(values: readonly number[]): number {
  const { covariance, spread, variation } = momentsOf(values);
  if (variation < EPSILON || spread === 0) return 1;
  return Math.min(1, covariance ** 2 / (spread * variation));
}

function momentsOf(values: readonly number[]) {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  let covariance = 0;
  let spread = 0;
  let variation = 0;
  for (const [index, value] of values.entries()) {
    covariance += (index - middle) * (value - mean);
    spread += (index - middle) ** 2;
    variation += (value - mean) ** 2;
  }
  return { covariance, spread, variation };
}
