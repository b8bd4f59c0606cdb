/** "Did you mean": the nearest of the allowed names. Pure. */

/** Optimal string alignment distance (edits and swaps of neighbours), cut off above `max`. */
function distance(a: string, b: string, max: number): number {
  if (Math.abs(a.length - b.length) > max) return max + 1;
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min((above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (above[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, (before[j - 2] ?? 0) + 1);
      }
      row.push(best);
    }
    before = above;
    above = row;
  }
  return above[b.length] ?? max + 1;
}

/**
 * `null` if no name is within two edits (three from ten characters on). Case is ignored. Ties go to
 * the first in `allowed`.
 */
export function nearest(given: string, allowed: readonly string[]): string | null {
  const max = given.length >= 10 ? 3 : 2;
  let best: string | null = null;
  let bestDistance = max + 1;
  for (const name of allowed) {
    const d = distance(given.toLowerCase(), name.toLowerCase(), max);
    if (d < bestDistance && d < Math.max(given.length, 2)) {
      best = name;
      bestDistance = d;
    }
  }
  return best;
}
