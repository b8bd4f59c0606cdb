/**
 * Randomness by name: every use draws from a stream of its own, so that leaving one fault out of a
 * story does not change what the others are. A stream is the seed and its name, nothing else.
 */
import { seeded } from "../../../simulator/engine/random.ts";

export type Stream = {
  /** 0 ≤ x < 1. */
  next(): number;
  /** A whole number from `min` to `max`, both included. */
  whole(min: number, max: number): number;
  /** One of the list, which is not empty. */
  pick<Value>(list: readonly Value[]): Value;
  /** True with this chance. */
  chance(p: number): boolean;
  /** Time to the next of events that come `mean` apart. */
  wait(mean: number): number;
};

/** FNV-1a over the name, folded into the seed. */
function mix(seed: number, name: string): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return (hash ^ Math.imul(seed, 0x9e3779b1)) >>> 0;
}

export function openStream(seed: number, name: string): Stream {
  const next = seeded(mix(seed, name));
  const whole = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1));
  return {
    next,
    whole,
    chance: (p) => next() < p,
    wait: (mean) => -Math.log(1 - next()) * mean,
    pick(list) {
      const value = list[whole(0, list.length - 1)];
      if (value === undefined) throw new Error("nothing to pick from");
      return value;
    },
  };
}
