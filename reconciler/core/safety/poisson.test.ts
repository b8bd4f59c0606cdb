/** The smallest counts that trip a breaker, and the tail compared with a plain sum. */
import { expect, test } from "bun:test";
import { poissonTail, tripCount } from "./poisson.ts";

const DAY_MS = 86_400_000;
const mean = (nodes: number, rate: number, windowMs: number): number =>
  (rate / 1_000) * nodes * (windowMs / DAY_MS);

test.each([
  [10, 1, 2],
  [100, 1, 2],
  [1_000, 1, 3],
  [10_000, 1, 4],
  [100_000, 1, 8],
  [10, 5, 2],
  [100, 5, 3],
  [1_000, 5, 4],
  [10_000, 5, 7],
  [100_000, 5, 16],
])("tripCount() of %d nodes at rate %d in ten minutes is %d", (nodes, rate, trips) => {
  expect(tripCount(mean(nodes, rate, 600_000), 1e-6)).toBe(trips);
});

test.each([
  [10, 3],
  [100, 4],
  [1_000, 6],
  [10_000, 13],
  [100_000, 47],
])("tripCount() of %d nodes at rate 5 in an hour is %d", (nodes, trips) => {
  expect(tripCount(mean(nodes, 5, 3_600_000), 1e-6)).toBe(trips);
});

test("poissonTail() is one minus the sum of what lies before", () => {
  for (const m of [0.001, 0.5, 3, 20, 400]) {
    let head = 0;
    let p = Math.exp(-m);
    for (let n = 0; n < m + 5 * Math.sqrt(m) + 5; n++) {
      expect(poissonTail(n, m)).toBeCloseTo(1 - head, 9);
      head += p;
      p *= m / (n + 1);
    }
  }
});

test("poissonTail() at the ends", () => {
  expect(poissonTail(0, 0)).toBe(1);
  expect(poissonTail(-1, 5)).toBe(1);
  expect(poissonTail(1, 0)).toBe(0);
  expect(poissonTail(1, -1)).toBe(0);
  expect(poissonTail(1, 1)).toBeCloseTo(1 - Math.exp(-1), 12);
  expect(poissonTail(2, 1)).toBeCloseTo(1 - 2 * Math.exp(-1), 12);
});

test.each([
  // Summed with sixty digits from p(n), p(n + 1), …
  [2, 1e-3, 4.996667916e-7],
  [5, 0.1, 7.667801686e-8],
  [20, 3, 8.314423588e-11],
  [50, 10, 1.854726884e-19],
  [500, 400, 8.109381079e-7],
])("poissonTail(%d, %d) keeps its digits far out", (n, mean, expected) => {
  expect(poissonTail(n, mean) / expected).toBeCloseTo(1, 6);
});

test("tripCount() is the fewest that are less likely, and never fewer than two", () => {
  for (const mean of [1e-9, 0.01, 0.3, 1, 2.5, 7, 31, 333, 2_000]) {
    for (const probability of [0.5, 1e-2, 1e-6, 1e-9]) {
      const n = tripCount(mean, probability);
      expect(n).toBeGreaterThanOrEqual(2);
      expect(poissonTail(n, mean)).toBeLessThan(probability);
      if (n > 2) expect(poissonTail(n - 1, mean)).toBeGreaterThanOrEqual(probability);
    }
  }
  expect(tripCount(0, 1e-6)).toBe(2);
  expect(tripCount(1e-9, 1)).toBe(2);
});

test("tripCount() ends where nothing is improbable enough", () => {
  expect(tripCount(1, 0)).toBe(1_048_576);
});
