/**
 * The probability of a burst. Pure. `P(X ≥ n)` of a Poisson variable, summed from its small end:
 * every term is positive and none cancels, so it is exact down to the smallest double.
 */

/** Further terms change no double, for any mean of a fleet. */
const TERMS_MAX = 10_000;

/** Bounds the search, whatever the configuration. */
const COUNT_MAX = 1_048_576;

/** The probability of `n` or more arrivals when `mean` are expected. */
export function poissonTail(n: number, mean: number): number {
  if (n <= 0) return 1;
  if (mean <= 0) return 0;
  if (n <= mean) return 1 - poissonHead(n, mean);
  // P(X ≥ n) = p(n)·(1 + m/(n+1) + m²/((n+1)(n+2)) + …), whose terms shrink because n > m.
  let log = -mean + n * Math.log(mean);
  for (let k = 2; k <= n; k++) log -= Math.log(k);
  let sum = 1;
  let term = 1;
  for (let k = n + 1; k < n + TERMS_MAX && term > sum * 1e-16; k++) {
    term *= mean / k;
    sum += term;
  }
  return Math.min(1, Math.exp(log) * sum);
}

/** `P(X < n)` for `n` at most the mean. */
function poissonHead(n: number, mean: number): number {
  let log = -mean;
  let sum = 0;
  for (let k = 0; k < n; k++) {
    if (k > 0) log += Math.log(mean) - Math.log(k);
    sum += Math.exp(log);
  }
  return sum;
}

/**
 * The fewest arrivals that are less likely than `probability`, never fewer than two
 * (docs/reference/safety.md#failure-rate).
 */
export function tripCount(mean: number, probability: number): number {
  let n = 2;
  // Binary search, because a mean may be in the thousands.
  while (poissonTail(n, mean) >= probability && n < COUNT_MAX) n *= 2;
  let low = Math.max(1, n / 2);
  while (n - low > 1) {
    const middle = Math.floor((n + low) / 2);
    if (poissonTail(middle, mean) < probability) n = middle;
    else low = middle;
  }
  return n === 2 ? 2 : n;
}
