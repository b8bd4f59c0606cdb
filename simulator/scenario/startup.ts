/** When each machine of a fleet starts. Cold starts overlap: a slow machine delays no other. */
import { unreachable } from "../../schema/unreachable.ts";
import type { Random } from "../engine/random.ts";
import type { Startup } from "./scenario.ts";

export type Start = {
  /** From the start of the fleet until the machine is switched on. */
  launchMs: number;
  /** From then until its agent starts. */
  coldStartMs: number;
};

/** Machines that start at once under `instant`. */
const INSTANT_BATCH = 100;
/** Between such batches: what upstream's hundred parallel registrations take at the least. */
const INSTANT_GAP_MS = 100;

/** One start for each of `count` machines, in their order. Whole milliseconds. */
export function planStartup(startup: Startup, count: number, random: Random): Start[] {
  const launches = launchesOf(startup, count, random);
  return launches.map((launchMs) => ({
    launchMs: Math.round(launchMs),
    coldStartMs: drawColdStart(startup, random),
  }));
}

/** A cold start as this start-up draws it; 0 without any. */
export function drawColdStart({ coldStart }: Startup, random: Random): number {
  switch (coldStart.kind) {
    case "none":
      return 0;
    case "uniform":
      return Math.round(random.between(coldStart.minMs, coldStart.maxMs));
    case "normal": {
      const { meanMs, stdDevMs, minMs, maxMs } = coldStart;
      const drawn = Math.max(minMs, random.normal(meanMs, stdDevMs));
      return Math.round(Math.max(0, maxMs === null ? drawn : Math.min(maxMs, drawn)));
    }
    default:
      return unreachable(coldStart);
  }
}

/**
 * The cold start of a machine bought in place of another: `replace_cold_start`, else as the fleet
 * started, else 30–60 s.
 */
export function drawReplacementColdStart(
  replaceColdStartMs: number,
  startup: Startup | null,
  random: Random,
): number {
  if (replaceColdStartMs > 0) return replaceColdStartMs;
  if (startup !== null && startup.coldStart.kind !== "none") return drawColdStart(startup, random);
  return Math.round(random.between(30_000, 60_000));
}

function launchesOf(startup: Startup, count: number, random: Random): number[] {
  if (count === 0) return [];
  const { pattern, durationMs, batchSize } = startup;
  switch (pattern) {
    case "instant":
      return batches(
        count,
        () => INSTANT_BATCH,
        () => INSTANT_GAP_MS,
      );
    case "linear":
      return batches(
        count,
        () => 1,
        () => jittered(startup, durationMs / count, random),
      );
    case "exponential": {
      // 1 + 2 + 4 + … reaches the fleet after as many rounds as the count has binary digits.
      const rounds = Math.floor(Math.log2(count)) + 1;
      return batches(
        count,
        (round) => 2 ** round,
        () => jittered(startup, durationMs / rounds, random),
      );
    }
    case "wave": {
      const waves = Math.ceil(count / batchSize);
      return batches(
        count,
        () => batchSize,
        () => jittered(startup, durationMs / waves, random),
      );
    }
    default:
      return unreachable(pattern);
  }
}

/** Start times of batches, the first at 0 and each a gap after the one before. */
function batches(count: number, size: (round: number) => number, gap: () => number): number[] {
  const launches: number[] = [];
  let at = 0;
  for (let round = 0; launches.length < count; round++) {
    if (round > 0) at += gap();
    const end = Math.min(count, launches.length + size(round));
    while (launches.length < end) launches.push(at);
  }
  return launches;
}

function jittered({ jitterPercent }: Startup, gapMs: number, random: Random): number {
  if (jitterPercent === 0) return gapMs;
  return gapMs * (1 + random.between(-1, 1) * (jitterPercent / 100));
}
