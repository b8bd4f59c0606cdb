/**
 * What instrumented source asks at run time: is this mutant on? Every instrumented file imports it
 * first, so that a child process that a test starts has it too; such a process takes its mutant
 * from `NAVARCH_MUTANT`. A worker sets the state of `probe` between tests.
 */

/** Steps are counted so that a loop that a mutant made endless ends without a clock. */
export class TooManySteps extends Error {}

export const probe = {
  active: Number(process.env["NAVARCH_MUTANT"] ?? 0),
  steps: 0,
  stepsMax: Number.POSITIVE_INFINITY,
  /** Where reached mutants are noted, while somebody measures. */
  reached: null as Set<number> | null,
};

function isOn(id: number): boolean {
  probe.steps += 1;
  if (probe.steps > probe.stepsMax) throw new TooManySteps("too many steps");
  probe.reached?.add(id);
  return id === probe.active;
}

function touch(...ids: number[]): void {
  if (probe.reached === null) return;
  for (const id of ids) probe.reached.add(id);
}

Object.assign(globalThis, { $m: isOn, $t: touch });
