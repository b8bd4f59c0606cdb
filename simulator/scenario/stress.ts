/**
 * `stress` of a scenario. In two steps: the fleet first, since what the other sections may name
 * depends on it.
 */
import type { Section } from "../../reconciler/config/section.ts";
import { readChaos } from "./chaos-section.ts";
import type { Names } from "./name.ts";
import type { FleetGen, Stress } from "./scenario.ts";
import { readThresholds } from "./threshold.ts";
import { wordOf } from "./value.ts";

const DURATION_MS = 600_000;
/** A simulated year: far more than anybody waits for. */
const DURATION_MAX_MS = 366 * 86_400_000;
const METRICS_MS = 5_000;

/** Reads everything but `fleet_gen`; `null` if the section is absent. */
export function readStress(stress: Section, fleetGen: FleetGen | null, names: Names) {
  if (!stress.given) return null;
  const durationMs = stress.duration("duration", { max: DURATION_MAX_MS }) ?? 0;
  const metricsMs = stress.duration("metrics_interval", { max: DURATION_MAX_MS }) ?? 0;
  if (metricsMs > 0 && metricsMs < 100) {
    stress.fail("metrics_interval", "range", "must be at least 100ms");
  }
  const found: Stress = {
    // Upstream takes 0 for absent.
    durationMs: durationMs === 0 ? DURATION_MS : durationMs,
    metricsIntervalMs: metricsMs === 0 ? METRICS_MS : metricsMs,
    seed: stress.integer("seed") ?? 0,
    timeScale: readScale(stress),
    reportFile: wordOf(stress, "report_file"),
    htmlReportFile: wordOf(stress, "html_report_file"),
    logFile: wordOf(stress, "log_file"),
    fleetGen,
    chaos: readChaos(stress, names),
    thresholds: readThresholds(stress),
  };
  stress.finish();
  return found;
}

function readScale(stress: Section): number {
  const scale = stress.number("time_scale", { min: 0, max: 1_000_000 });
  return scale === null || scale === 0 ? 1 : scale;
}
