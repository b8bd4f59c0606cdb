/**
 * Whole milliseconds that may be stored: the only durations which the ports and the core exchange.
 * A clock gives fractions, and a stored document has none; a transaction with one is refused. So
 * only rounding up makes this type. Pure.
 */
declare const whole: unique symbol;
export type Millis = number & { readonly [whole]: true };

/** A thousand years: an instant plus a longer one may be beyond `Date`'s range. */
export const MILLIS_MAX = 1_000 * 365.25 * 24 * 3_600_000;

/** A wait, rounded up, so that nothing happens too early. No number is no wait. */
export function waitMs(ms: number): Millis {
  return bounded(Math.ceil(ms));
}

function bounded(ms: number): Millis {
  return (ms > 0 ? Math.min(ms, MILLIS_MAX) : 0) as Millis;
}
