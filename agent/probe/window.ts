/**
 * Measures the growth of a counter within the current hour. Counters restart with the driver and
 * jump when a GPU is exchanged (docs/reference/nvml.md#pitfalls): a smaller value starts over.
 */

/** The counter at the start of the hour, and its growth since. Monotonic milliseconds. */
export type Window = { base: number; sinceMs: number; grown: number };

/** One hour, because the policy's rates are per hour. */
export const WINDOW_MS = 3_600_000;

/**
 * The window after reading `value`. The first reading has no growth. The last step of an ended hour
 * counts in the next one, so that a burst between two rounds is always seen.
 */
export function nextWindow(window: Window | null, value: number, monoMs: number): Window {
  const fresh = { base: value, sinceMs: monoMs, grown: 0 };
  if (window === null || monoMs < window.sinceMs) return fresh;
  const total = window.base + window.grown;
  if (value < total) return fresh;
  if (monoMs - window.sinceMs < WINDOW_MS) return { ...window, grown: value - window.base };
  return { base: total, sinceMs: monoMs, grown: value - total };
}
