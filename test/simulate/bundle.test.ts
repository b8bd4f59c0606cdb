/** Every scenario that ships runs; the long ones cut short, which proves that they run at all. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { compilePolicy } from "../../health/policy/compile.ts";
import { compiledBuiltin } from "../../health/policy/builtin.ts";
import { BUNDLED } from "../../simulator/bundle/catalog.ts";
import { VirtualClock } from "../../simulator/clock.ts";
import { unsupported } from "../../simulator/run/prepare.ts";
import { runScenario, type RunOptions } from "../../simulator/run/runner.ts";
import { readScenario } from "../../simulator/scenario/read.ts";
import type { Scenario } from "../../simulator/scenario/scenario.ts";

setDefaultTimeout(120_000);

/** A cut run proves that the file runs; whether it passes is asked of it in full length. */
const CUT = { nodes: 20, durationMs: 10_000, startMs: 3_000 };

function cut(scenario: Scenario): Scenario {
  const { stress } = scenario;
  if (stress === null) return scenario;
  const { fleetGen } = stress;
  const gen =
    fleetGen === null
      ? null
      : {
          ...fleetGen,
          totalNodes: Math.min(fleetGen.totalNodes, CUT.nodes),
          startup: { ...fleetGen.startup, durationMs: CUT.startMs, coldStart: NONE },
        };
  const short = { ...stress, durationMs: Math.min(stress.durationMs, CUT.durationMs) };
  return { ...scenario, events: [], assertions: [], stress: { ...short, fleetGen: gen } };
}

const NONE = { kind: "none" } as const;

async function run(scenario: Scenario): Promise<string[]> {
  const own = scenario.policy === null ? null : compilePolicy(scenario.policy);
  const policy = own?.ok === true ? own.compiled : compiledBuiltin;
  const options: RunOptions = {
    scenario,
    policy,
    time: new VirtualClock(),
    seed: 42,
    semantics: "held",
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
  };
  const { report } = await runScenario(options);
  const checks = scenario.stress === null ? report.assertions : [];
  const failed = checks.filter(({ passed }) => !passed);
  return [
    ...report.errors,
    ...failed.map((one) => `${one.name}: expected ${one.expected}, found ${one.actual}`),
  ];
}

describe("bundled scenarios", () => {
  for (const { name, text } of BUNDLED) {
    const { scenario } = readScenario({ name, text });
    if (scenario === null) throw new Error(`${name} does not read`);
    test(`${name} runs`, async () => {
      if (unsupported(scenario) !== null) return;
      expect(await run(cut(scenario))).toEqual([]);
    });
  }
});
