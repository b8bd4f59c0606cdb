/**
 * Seeded chance: the same seed makes the same choices, although never the same interleaving, which
 * belongs to the operating system and is the point of killing real processes.
 */
import { seeded } from "../../simulator/engine/random.ts";

export class Random {
  /** 0 ≤ x < 1. */
  readonly next: () => number;

  constructor(seed: number) {
    this.next = seeded(seed);
  }

  between(least: number, most: number): number {
    return least + this.next() * (most - least);
  }

  /** A whole number, both ends included. */
  whole(least: number, most: number): number {
    return Math.floor(this.between(least, most + 1));
  }

  /** `null` from an empty list. */
  pick<T>(list: readonly T[]): T | null {
    return list[Math.floor(this.next() * list.length)] ?? null;
  }

  /** One of the named things, each as often as its weight says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const pairs = Object.entries<number>(weights) as [K, number][];
    const sum = pairs.reduce((total, [, weight]) => total + weight, 0);
    let left = this.next() * sum;
    for (const [name, weight] of pairs) {
      left -= weight;
      if (left < 0) return name;
    }
    const last = pairs.at(-1);
    if (last === undefined) throw new Error("nothing to choose from");
    return last[0];
  }
}
