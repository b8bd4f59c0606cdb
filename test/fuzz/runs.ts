/**
 * How often a property is tried. The default keeps each file of this folder within seconds; the
 * environment variable `FUZZ_RUNS` multiplies it for a night's search. Every try is bounded.
 */

const asked = Number(process.env["FUZZ_RUNS"] ?? "1");

/** How many times the default; 1 unless asked. */
export const TIMES = Number.isFinite(asked) && asked > 0 ? asked : 1;

/** Parameters of `fc.assert` for `count` tries by default. */
export function runs(count: number): { numRuns: number; verbose: 0 } {
  return { numRuns: Math.max(1, Math.round(count * TIMES)), verbose: 0 };
}

/** Milliseconds that a test may take before the runner gives up on it. */
export const PATIENCE_MS = 60_000 * TIMES;
