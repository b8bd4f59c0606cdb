/**
 * Pauses before a call is repeated. Pure. A stored pause that lies further ahead than its limit is
 * ignored, because it was written under another clock; so none that is longer may be stored.
 */

import { type Millis, waitMs } from "../../../schema/millis.ts";

/** Before an open operation is called again (`act/run.ts`); its node waits meanwhile. */
export const OPEN_MAX_MS = 10 * 60_000;

/** The longest of any other pause (quota). */
const REST_MAX_MS = 6 * 3_600_000;

/** The pause that a cloud asked for, within the limit; `null` if it asked for none. */
export function patience(askedMs: Millis | null, maxMs = REST_MAX_MS): Millis | null {
  return askedMs === null ? null : waitMs(Math.min(askedMs, maxMs));
}

/** Doubles from `firstMs` to `maxMs`; `tries` counts from 1, the failures so far. */
export function backoffMs(tries: number, firstMs: number, maxMs: number): Millis {
  return waitMs(Math.min(maxMs, firstMs * 2 ** Math.max(0, Math.min(tries - 1, 30))));
}

/**
 * A pause with up to `share` of it more or less, by a roll from 0 to 1: those who failed together do
 * not return together.
 */
export function spreadMs(ms: number, share: number, roll: number): number {
  return ms * (1 + share * (2 * roll - 1));
}

/**
 * Whether a stored "not before" still holds. One further ahead than `mostMs` was written before the
 * clock was set back, and has passed.
 */
export function isResting(notBefore: number, now: number, mostMs = REST_MAX_MS): boolean {
  return notBefore > now && notBefore - now <= mostMs;
}
