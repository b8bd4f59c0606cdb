/**
 * Every scenario that ships, run to its own verdict. What takes longer than a second is cut short
 * here, which proves that it runs, and judged in full by the lane `scenario`; what takes minutes is judged
 * by `npm run once -- scenarios`.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { BUNDLED } from "../../simulator/bundle/catalog.ts";
import type { Scenario } from "../../simulator/scenario/scenario.ts";
import { bundled, judge } from "./judge.ts";
import { LONG } from "./long.ts";

setDefaultTimeout(120_000);

const IS_LANE = process.env["NAVARCH_LANE"] === "scenario";
/** Nodes times minutes under stress, about what one second is enough for. */
const NODE_MINUTES_MAX = 300;
const CUT = { nodes: 20, durationMs: 10_000, startMs: 3_000 };
const NONE = { kind: "none" } as const;

function isLong({ stress, fleet }: Scenario): boolean {
  if (stress === null) return false;
  const nodes = fleet.length + (stress.fleetGen?.totalNodes ?? 0);
  return (nodes * stress.durationMs) / 60_000 > NODE_MINUTES_MAX;
}

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
  const durationMs = Math.min(stress.durationMs, CUT.durationMs);
  const short = { ...stress, durationMs, fleetGen: gen, thresholds: [] };
  return { ...scenario, events: [], assertions: [], stress: short };
}

describe("bundled scenarios", () => {
  for (const { name } of BUNDLED) {
    const isWhole = !LONG.includes(name) && (IS_LANE || !isLong(bundled(name)));
    test(`${name} ${isWhole ? "passes" : "runs"}`, async () => {
      const scenario = bundled(name);
      expect(await judge(isWhole ? scenario : cut(scenario))).toEqual([]);
    });
  }

  test("what is called long is there", () => {
    for (const name of LONG) expect(BUNDLED.map((one) => one.name)).toContain(name);
  });
});
