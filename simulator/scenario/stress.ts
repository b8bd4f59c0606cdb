/**
 * `stress` of a scenario. In two steps: the fleet first, since what the other sections may name
 * depends on it.
 */
import { fillTable } from "../../schema/config/field.ts";
import type { Section } from "../../reconciler/config/section.ts";
import { readChaos } from "./chaos-section.ts";
import type { Names } from "./name.ts";
import type { FleetGen, Stress } from "./scenario.ts";
import { readThresholds } from "./threshold.ts";
import { readPart } from "../../reconciler/config/table.ts";
import { STRESS } from "./table.ts";

const DURATION_MS = 600_000;
const METRICS_MS = 5_000;

/** Reads all but `fleet_gen`; `null` if the section is absent. Upstream takes 0 for absent. */
export function readStress(
  stress: Section,
  fleetGen: FleetGen | null,
  names: Names,
): Stress | null {
  if (!stress.given) return null;
  const { metricsIntervalMs: metricsMs, ...found } = fillTable(STRESS, readPart(stress, STRESS));
  if (metricsMs !== null && metricsMs > 0 && metricsMs < 100) {
    stress.fail("metrics_interval", "range", "must be at least 100ms");
  }
  const chaos = readChaos(stress, names);
  const thresholds = readThresholds(stress);
  stress.finish();
  return {
    ...found,
    durationMs: found.durationMs || DURATION_MS,
    metricsIntervalMs: metricsMs || METRICS_MS,
    timeScale: found.timeScale || 1,
    fleetGen,
    chaos,
    thresholds,
  };
}
