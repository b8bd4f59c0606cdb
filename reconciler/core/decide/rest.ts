/** Judges whether a stored back-off still holds. Pure. */

/** The longest stored back-off (quota). */
const REST_MAX_MS = 6 * 3_600_000;

/**
 * Whether a stored "not before" still holds. One further ahead than `mostMs` was written before the
 * clock was set back, and has passed.
 */
export function isResting(notBefore: number, now: number, mostMs = REST_MAX_MS): boolean {
  return notBefore > now && notBefore - now <= mostMs;
}
