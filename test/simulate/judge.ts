/** Runs a scenario here, in virtual time, as `simulate run` would, and tells its verdict. */
import { compilePolicy } from "../../health/policy/compile.ts";
import { compiledBuiltin } from "../../health/policy/builtin.ts";
import { BUNDLED } from "../../simulator/bundle/catalog.ts";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import type { Semantics } from "../../simulator/run/check.ts";
import { runScenario } from "../../simulator/run/runner.ts";
import { readScenario } from "../../simulator/scenario/read.ts";
import type { Scenario } from "../../simulator/scenario/scenario.ts";

/** A bundled scenario, read again so that it may be changed. */
export function bundled(name: string): Scenario {
  const text = BUNDLED.find((one) => one.name === name)?.text;
  const { scenario } = readScenario({ name, text: text ?? "" });
  if (scenario === null) throw new Error(`${name} does not read`);
  return scenario;
}

/** What failed: errors of the run, assertions and thresholds, each in words. Empty = it passed. */
export async function judge(scenario: Scenario, semantics: Semantics = "held"): Promise<string[]> {
  const own = scenario.policy === null ? null : compilePolicy(scenario.policy);
  const ownSeed = scenario.stress?.seed ?? 0;
  const { report } = await runScenario({
    scenario,
    policy: own?.ok === true ? own.compiled : compiledBuiltin,
    time: new VirtualClock(),
    seed: ownSeed === 0 ? 42 : ownSeed,
    semantics,
    thresholds: [],
    analytic: true,
    isAborted: () => false,
    rssMb: () => 0,
    sink: {
      line: () => undefined,
      log: () => undefined,
      say: () => undefined,
      progress: () => undefined,
    },
  });
  const failed = [...report.assertions, ...report.thresholds].filter(({ passed }) => !passed);
  return [
    ...report.errors,
    ...failed.map((one) => `${one.name}: expected ${one.expected}, found ${one.actual}`),
  ];
}
