/**
 * How much a counter grew within the current hour. Counters restart when the driver is loaded again
 * and jump when a GPU is exchanged (docs/reference/nvml.md#pitfalls), so a smaller value starts
 * over and no growth is ever negative.
 */

/** The counter at the start of the hour, and what it grew since. Monotonic milliseconds. */
export type Window = { base: number; sinceMs: number; grown: number };

/** One hour, because the policy's rates are per hour. */
export const WINDOW_MS = 3_600_000;

/**
 * The window after reading `value`. The first reading grows nothing: what was counted before the
 * agent looked has no rate. An hour that ends hands its last step on to the next, so that a burst
 * between two rounds is seen wherever the border falls.
 */
export function nextWindow(window: Window | null, value: number, monoMs: number): Window {
  const fresh = { base: value, sinceMs: monoMs, grown: 0 };
  if (window === null || monoMs < window.sinceMs) return fresh;
  const total = window.base + window.grown;
  if (value < total) return fresh;
  if (monoMs - window.sinceMs < WINDOW_MS) return { ...window, grown: value - window.base };
  return { base: total, sinceMs: monoMs, grown: value - total };
}
