/**
 * Seeded randomness for simulations: the same seed gives the same draws on every machine and in
 * every build. Each part of a run draws from a stream of its own, so that one more draw in one part
 * moves nothing in another. Pure but for the state inside a stream.
 */

/** The streams of a run. */
export const STREAMS = ["fleet", "startup", "chaos", "cascade", "recovery", "providers"] as const;
export type Stream = (typeof STREAMS)[number];

export type Random = {
  /** From 0 up to but not including 1, in steps of 2⁻⁵³. */
  uniform(): number;
  /** A whole number from 0 up to but not including `below`, which is at least 1. */
  int(below: number): number;
  /** From `min` up to but not including `max`; `min` where both are equal. */
  between(min: number, max: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  normal(mean: number, stdDev: number): number;
  /** Waiting time with this mean: the gaps of a Poisson process. */
  exponential(mean: number): number;
  /** One of `items`, or `null` if there is none. */
  pick<T>(items: readonly T[]): T | null;
  /** One of `items` by weight, or `null` if all weights together are 0. */
  weighted<T extends { weight: number }>(items: readonly T[]): T | null;
  /** `count` different ones of `items`, or all of them, in random order. */
  sample<T>(items: readonly T[], count: number): T[];
  /** A stream of its own: a function of this one's seed and the name, not of draws made so far. */
  fork(name: string): Random;
};

const TWO_53 = 2 ** 53;
const MASK = 0xffff_ffff_ffff_ffffn;

/**
 * splitmix64 (Steele, Lea, Flood 2014): turns any seed, also a small or a similar one, into words
 * that have nothing to do with each other.
 */
function splitmix(seed: bigint): () => bigint {
  let state = seed & MASK;
  return () => {
    state = (state + 0x9e37_79b9_7f4a_7c15n) & MASK;
    let z = state;
    z = ((z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n) & MASK;
    z = ((z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn) & MASK;
    return z ^ (z >> 31n);
  };
}

/** xoshiro128** (Blackman, Vigna 2018): 32-bit words, which are fast without big integers. */
function xoshiro(seed: bigint): () => number {
  const next = splitmix(seed);
  const [one, two] = [next(), next()];
  let a = Number(one & 0xffff_ffffn) | 0;
  let b = Number(one >> 32n) | 0;
  let c = Number(two & 0xffff_ffffn) | 0;
  let d = Number(two >> 32n) | 1;
  return () => {
    const x = Math.imul(b, 5);
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = (d << 11) | (d >>> 21);
    return result;
  };
}

/** FNV-1a over the UTF-16 units: spreads names over seeds. */
function hashName(name: string): bigint {
  let hash = 0xcbf2_9ce4_8422_2325n;
  for (let at = 0; at < name.length; at++) {
    hash = ((hash ^ BigInt(name.charCodeAt(at))) * 0x100_0000_01b3n) & MASK;
  }
  return hash;
}

/** Opens the stream of a seed, which is any whole number. */
export function openRandom(seed: number | bigint): Random {
  return randomOf(BigInt.asUintN(64, BigInt(seed)));
}

function randomOf(seed: bigint): Random {
  const word = xoshiro(seed);
  const uniform = () => ((word() >>> 5) * 0x400_0000 + (word() >>> 6)) / TWO_53;
  const int = (below: number) => Math.min(below - 1, Math.floor(uniform() * below));
  const weighted = <T extends { weight: number }>(items: readonly T[]): T | null => {
    const total = items.reduce((sum, item) => sum + item.weight, 0);
    if (!(total > 0)) return null;
    let left = uniform() * total;
    let last: T | null = null;
    for (const item of items) {
      if (item.weight <= 0) continue;
      if (left < item.weight) return item;
      left -= item.weight;
      last = item;
    }
    // Rounding may leave a rest behind the last item.
    return last;
  };
  return {
    uniform,
    int,
    weighted,
    between: (min, max) => min + uniform() * (max - min),
    chance: (probability) => uniform() < probability,
    // Box–Muller; the second value is thrown away, so that a draw has no memory of another.
    normal: (mean, stdDev) => {
      const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
      return mean + stdDev * radius * Math.cos(2 * Math.PI * uniform());
    },
    exponential: (mean) => -mean * Math.log(1 - uniform()),
    pick: (items) => (items.length === 0 ? null : (items[int(items.length)] ?? null)),
    sample: (items, count) => {
      const pool = items.slice();
      const size = Math.min(count, pool.length);
      for (let at = 0; at < size; at++) {
        const other = at + int(pool.length - at);
        const [left, right] = [pool[at], pool[other]];
        if (left !== undefined && right !== undefined) [pool[at], pool[other]] = [right, left];
      }
      return pool.slice(0, size);
    },
    fork: (name) => randomOf(splitmix(seed ^ hashName(name))()),
  };
}

/** One independent stream for each part of a run. */
export function openStreams(seed: number): Record<Stream, Random> {
  const root = openRandom(seed);
  return {
    fleet: root.fork("fleet"),
    startup: root.fork("startup"),
    chaos: root.fork("chaos"),
    cascade: root.fork("cascade"),
    recovery: root.fork("recovery"),
    providers: root.fork("providers"),
  };
}

/** mulberry32: small, seeded, good enough to choose faults. */
export function seeded(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = a;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
