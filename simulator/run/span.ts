/** Spans of time: quantiles of measurements, and durations in text. Pure. */

export type Quantiles = { p50: number | null; p99: number | null; max: number | null };

/** Nearest rank; `null` where nothing was measured. */
export function quantile(sorted: readonly number[], q: number): number | null {
  if (sorted.length === 0) return null;
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? null;
}

export function quantilesOf(values: readonly number[]): Quantiles {
  const sorted = values.toSorted((a, b) => a - b);
  return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), max: sorted.at(-1) ?? null };
}

/** A duration as upstream's reports print it: `10m0s`, `1h0m5s`, `1.5s`. */
export function formatGo(ms: number): string {
  const seconds = ms / 1_000;
  if (seconds < 1) return `${ms}ms`;
  const hours = Math.floor(seconds / 3_600);
  const minutes = Math.floor(seconds / 60) % 60;
  const rest = `${Number((seconds % 60).toFixed(3))}s`;
  if (hours > 0) return `${hours}h${minutes}m${rest}`;
  return minutes > 0 ? `${minutes}m${rest}` : rest;
}
