/** The table of safety.md §5.2, and the tail against a sum done the slow way. */
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
