/** Whether a stored back-off still holds. Pure. */

/**
 * Longest stored back-off (quota): anything later was written under another clock and has passed.
 */
const REST_MAX_MS = 6 * 3_600_000;

/**
 * Whether a stored "not before" still holds; one that is further in the future than any rest of its
 * kind was left by a clock that was set back.
 */
export function isResting(notBefore: number, now: number, mostMs = REST_MAX_MS): boolean {
  return notBefore > now && notBefore - now <= mostMs;
}
