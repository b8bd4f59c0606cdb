/**
 * When a smaller size counts: once fewer were needed for `afterMs`, and then the most that were
 * needed in that time. Pure. So a load that comes and goes does not buy and end machines.
 */

/** How long fewer have been needed than there are, and the most that were needed since. */
export type Surplus = { since: number; peak: number };

/** `size` is the present size, `to` what is needed; `now` is monotonic milliseconds. */
export function stepSurplus(
  before: Surplus | null,
  { to, size }: { to: number; size: number },
  afterMs: number,
  now: number,
): { surplus: Surplus | null; to: number; isDue: boolean } {
  if (to >= size) return { surplus: null, to, isDue: false };
  const peak = Math.max(before?.peak ?? 0, to);
  const isNew = before === null || peak >= size;
  const surplus = isNew ? { since: now, peak: to } : { since: before.since, peak };
  return { surplus, to: surplus.peak, isDue: now - surplus.since >= afterMs };
}
