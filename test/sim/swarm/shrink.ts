/**
 * The shortest story that still shows a violation: faults after it are dropped, then stretches of
 * the rest, ever smaller ones, as long as the same invariant breaks. Bounded by time that the
 * caller measures; what is found by then is given.
 */
import type { Fault } from "./fault.ts";
import type { Shape } from "./shape.ts";
import { tellStory } from "./story.ts";
import type { Found } from "./swarm.ts";

export type Shrunk = { faults: Fault[]; found: Found; endMs: number; tries: number };

export async function shrink(
  shape: Shape,
  faults: readonly Fault[],
  told: { endMs: number; found: Found },
  /** Milliseconds that may still be spent. */
  leftMs: () => number,
): Promise<Shrunk> {
  const { id } = told.found;
  let best: Shrunk = { faults: [...faults], found: told.found, endMs: told.endMs, tries: 0 };
  const attempt = async (list: Fault[], endMs: number): Promise<boolean> => {
    best = { ...best, tries: best.tries + 1 };
    const answer = await tellStory(shape, list, { endMs, stopAtFirst: true });
    const found = answer.found.find((one) => one.id === id);
    if (found === undefined) return false;
    best = { ...best, faults: list, found, endMs };
    return true;
  };
  // What comes after the violation did not cause it; the end of the story may then come sooner.
  const earlier = best.faults.filter((one) => one.at <= told.found.at);
  if (earlier.length < best.faults.length) await attempt(earlier, best.endMs);
  const last = (best.faults.at(-1)?.at ?? 0) + 3_600_000;
  if (last < best.endMs) await attempt(best.faults, last);
  for (let size = Math.ceil(best.faults.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let from = 0; from < best.faults.length && leftMs() > 0;) {
      const without = best.faults.filter((_, i) => i < from || i >= from + size);
      if (!(await attempt(without, best.endMs))) from += size;
    }
    if (leftMs() <= 0) break;
  }
  return best;
}
