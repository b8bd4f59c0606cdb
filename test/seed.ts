/**
 * The seed of tests that draw at random: fixed with `CI=true`, so that the same commit gets the
 * same answer, and new in each run everywhere else. `FUZZ_SEED=N` repeats one. Adapter: reads the
 * environment and draws.
 */

const CI_SEED = 20_261_123;
const { CI, FUZZ_SEED = CI === "true" ? String(CI_SEED) : "" } = process.env;

/** `null` = each draw is new. */
export const FIXED_SEED = FUZZ_SEED === "" ? null : Number(FUZZ_SEED);
if (FIXED_SEED !== null && !Number.isSafeInteger(FIXED_SEED)) {
  throw new Error(`FUZZ_SEED=${FUZZ_SEED}: expected a whole number, as a failed test prints it`);
}

/** For stories that draw by themselves; the test prints it. */
export function drawSeed(): number {
  return FIXED_SEED ?? Math.floor(Math.random() * 2 ** 31);
}
