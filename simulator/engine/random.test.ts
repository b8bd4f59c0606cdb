/** Seeded randomness: reproducible, independent, and of the shapes that it promises. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { openRandom, openStreams, STREAMS } from "./random.ts";

const many = (count: number, draw: () => number) => Array.from({ length: count }, draw);
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

describe("openRandom()", () => {
  test("gives the same draws for the same seed and others for another", () => {
    const draws = (seed: number) => many(50, openRandom(seed).uniform).join();
    fc.assert(
      fc.property(fc.maxSafeInteger(), (seed) => {
        expect(draws(seed)).toBe(draws(seed));
        expect(draws(seed)).not.toBe(draws(seed + 1));
      }),
      { numRuns: 50 },
    );
  });

  test("stays the same from build to build", () => {
    const random = openRandom(42).fork("chaos");
    expect([random.int(1_000), random.int(1_000), random.int(1_000)]).toMatchInlineSnapshot(`
      [
        509,
        219,
        966,
      ]
    `);
  });

  test("draws each in its range", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 1e6 }), (seed, below) => {
        const random = openRandom(seed);
        const [whole, part] = [random.int(below), random.between(-below, below)];
        expect(Number.isInteger(whole) && whole >= 0 && whole < below).toBe(true);
        expect(part >= -below && part < below).toBe(true);
      }),
    );
  });

  test("has the mean and spread of its distributions", () => {
    const random = openRandom(1);
    const count = 20_000;
    const within = (value: number, wanted: number, sigma: number) =>
      expect(Math.abs(value - wanted)).toBeLessThan((4 * sigma) / Math.sqrt(count));
    within(mean(many(count, random.uniform)), 0.5, Math.sqrt(1 / 12));
    within(mean(many(count, () => random.exponential(3))), 3, 3);
    const normal = many(count, () => random.normal(10, 2));
    within(mean(normal), 10, 2);
    within(mean(normal.map((x) => (x - 10) ** 2)), 4, 4 * Math.SQRT2);
  });

  test("weighted() follows the weights and never draws a weight of 0", () => {
    const random = openRandom(2);
    const items = [{ weight: 0 }, { weight: 1 }, { weight: 3 }, { weight: 0 }];
    const drawn = Array.from({ length: 8_000 }, () => random.weighted(items));
    expect(drawn.filter((one) => one?.weight === 0)).toEqual([]);
    expect(drawn.filter((one) => one?.weight === 3).length).toBeGreaterThan(5_800);
    expect(drawn.filter((one) => one?.weight === 3).length).toBeLessThan(6_200);
    expect(random.weighted([{ weight: 0 }])).toBeNull();
  });

  test("sample() draws different ones, at most as many as there are", () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(40), fc.nat(60), (seed, size, count) => {
        const items = Array.from({ length: size }, (_, i) => i);
        const drawn = openRandom(seed).sample(items, count);
        expect(new Set(drawn).size).toBe(Math.min(size, count));
      }),
    );
  });
});

test("openStreams() draws in one stream move no other", () => {
  for (const name of STREAMS) {
    const [one, two] = [openStreams(5), openStreams(5)];
    for (const other of STREAMS) if (other !== name) many(17, one[other].uniform);
    expect(one[name].uniform()).toBe(two[name].uniform());
  }
  const firsts = STREAMS.map((name) => openStreams(5)[name].uniform());
  expect(new Set(firsts).size).toBe(STREAMS.length);
});
