/**
 * Whether a copy of a collection in the cluster still speaks for now. Pure.
 */

/**
 * The server sends a bookmark about once a minute, so a copy that is younger than this may be
 * whole; an older one says nothing about now.
 */
export const STALE_MS = 100_000;
/** A server that refuses or does not answer makes the copy doubtful much sooner. */
const TROUBLED_MS = 15_000;

type Copy = { problem: string | null; synced(): boolean; ageMs(): number };

/** Why the copy of these objects cannot be relied on, for a person; `null` while it can. */
export function darkCopy(what: string, copy: Copy): string | null {
  const { problem } = copy;
  const why = problem === null ? "" : `: ${problem}`;
  if (!copy.synced()) return `the cluster's ${what} are not known yet${why}`;
  const ageMs = copy.ageMs();
  const isOld = ageMs > STALE_MS || (problem !== null && ageMs > TROUBLED_MS);
  if (!isOld) return null;
  return `no update of ${what} from Kubernetes for ${Math.round(ageMs / 1_000)} s${why}`;
}
