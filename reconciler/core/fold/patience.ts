/**
 * How long a cloud may ask to be left alone, as far as a stored rest can say so. Pure. Who reads a
 * rest takes one that lies too far ahead for what another clock has left behind, and acts at once:
 * so none that is longer may be stored, or the caller for patience is called without end.
 */

/** Before an open ask is repeated (`act/run.ts`): it holds up its node. */
export const OPEN_MAX_MS = 10 * 60_000;

/** Of every other rest (`decide/rest.ts`). */
const REST_MAX_MS = 6 * 3_600_000;

/** `null` = the cloud did not say. */
export function patience(askedMs: number | null, maxMs = REST_MAX_MS): number | null {
  return askedMs === null ? null : Math.min(askedMs, maxMs);
}
