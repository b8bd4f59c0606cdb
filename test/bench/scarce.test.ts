/** Scarce GPUs: how much sooner a pool is full, within the rate that the cloud's API permits. */
import { expect, test } from "bun:test";
import { compare, madeTraces, pollOne } from "./scarce.ts";

test.each([1, 2, 3])(
  "seed %i: at least 1.5 times as fast as polling one place",
  async (seed) => {
    for (const strategy of ["availability", "priority"]) {
      const { one, product } = await compare(seed, strategy);
      expect([strategy, one / product.ms >= 1.5]).toEqual([strategy, true]);
      expect(product.closestMs).toBeGreaterThanOrEqual(12_000);
    }
  },
  60_000,
);

test("pollOne() takes what each window sells, and no more", () => {
  const window = (from: number) => ({ from, to: from + 60_000 });
  expect(pollOne([[window(0), window(120_000), window(240_000)]], 0)).toBe(252_000);
  expect(madeTraces(1)).toEqual(madeTraces(1));
});
