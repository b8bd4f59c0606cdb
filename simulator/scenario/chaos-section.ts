/** Reads `stress.chaos` of a scenario. */
import type { Section } from "../../reconciler/config/section.ts";
import { xid } from "../../health/catalog/catalog.ts";
import { readCorrelated } from "./correlated.ts";
import type { Names } from "./name.ts";
import { readOutages } from "./outage.ts";
import {
  type Cascading,
  CASCADE_SCOPES,
  type Chaos,
  FAILURE_TYPES,
  type Recovery,
} from "./scenario.ts";
import { sectionsOf, weightsOf } from "./value.ts";

/** Upstream's list for a file that names none, all of one weight. */
const XIDS = [13, 31, 32, 43, 45, 48, 63, 64, 74, 79, 92, 94, 95];
const TYPES_MAX = 1_000;
/** Failures a minute per thousand nodes: sixty a second and node is more than any agent sends. */
const RATE_MAX = 3_600_000;
const DEPTH = 3;
const DEPTH_MAX = 100;
/** A file that cascades without a bound gets the one that the documentation shows. */
const AFFECTED = 0.1;
const SPREAD_MS = 1_000;
const MEAN_MS = 300_000;

/** Reads the section; `null` if it is absent. `names` is what outages may hit. */
export function readChaos(stress: Section, names: Names): Chaos | null {
  const chaos = stress.map("chaos");
  if (!chaos.given) return null;
  const found: Chaos = {
    enabled: chaos.flag("enabled") ?? false,
    failureRate: chaos.number("failure_rate", { min: 0, max: RATE_MAX }) ?? 0,
    xids: readXids(chaos),
    failureTypes: readTypes(chaos),
    cascading: readCascading(chaos.map("cascading")),
    recovery: readRecovery(chaos.map("recovery")),
    outages: readOutages(chaos, names),
    correlated: readCorrelated(chaos),
  };
  if (!chaos.has("enabled")) {
    const message = "is not given, so chaos is off";
    chaos.problems.warning(chaos.at, `${chaos.path}.enabled`, "default", message);
  }
  chaos.finish();
  return found;
}

function readXids(chaos: Section): Chaos["xids"] {
  const weights = weightsOf(chaos, "xid_distribution");
  if (weights === null) return XIDS.map((code) => ({ code, weight: 1 }));
  const entry = chaos.look("xid_distribution");
  const entries = entry?.value.kind === "map" ? entry.value.entries : [];
  for (const { key, at, path } of entries) {
    if (!/^\d{1,6}$/.test(key)) {
      chaos.problems.error(at, path, "type", `${JSON.stringify(key)} is no XID code`, "a number");
    } else if (xid(Number(key)) === null) {
      const message = `XID ${key} is in no catalogue, so it is judged as an unknown code`;
      chaos.problems.warning(at, path, "unknown_xid", message);
    }
  }
  return weights
    .map(({ name, weight }) => ({ code: Number(name), weight }))
    .sort((a, b) => a.code - b.code);
}

function readTypes(chaos: Section): Chaos["failureTypes"] {
  const found = sectionsOf(chaos, "failure_types", TYPES_MAX).flatMap((section) => {
    const type = section.choice("type", FAILURE_TYPES);
    if (!section.has("type")) section.missing("type", FAILURE_TYPES.join(", "));
    const weight = section.number("weight", { min: 0 });
    if (!section.has("weight")) section.missing("weight", "a number");
    section.finish();
    return type === null || weight === null ? [] : [{ type, weight }];
  });
  // Upstream falls back to XIDs where nothing has a weight.
  const some = found.some((one) => one.weight > 0);
  return some ? found : [{ type: "xid_error", weight: 1 }];
}

function readCascading(section: Section): Cascading | null {
  const enabled = section.flag("enabled") ?? false;
  const minDelayMs = section.duration("min_delay") ?? 0;
  const maxDelayMs = section.duration("max_delay") ?? minDelayMs + SPREAD_MS;
  if (section.has("max_delay") && maxDelayMs < minDelayMs) {
    section.fail("max_delay", "range", "is shorter than min_delay");
  }
  const found: Cascading = {
    probability: section.number("probability", { min: 0, max: 1 }) ?? 1,
    maxDepth: section.integer("max_depth", { min: 1, max: DEPTH_MAX }) ?? DEPTH,
    minDelayMs,
    maxDelayMs,
    scope: section.choice("scope", CASCADE_SCOPES) ?? "random",
    maxAffected: readFraction(section),
  };
  section.finish();
  return section.given && enabled ? found : null;
}

/** A fraction in spite of its name; figures above 1 can only have been meant as percent. */
function readFraction(section: Section): number {
  const value = section.number("max_affected_percent", { min: 0, max: 100 });
  if (value === null) return AFFECTED;
  if (value <= 1) return value;
  const entry = section.look("max_affected_percent");
  const message = `is a fraction; ${value} is read as ${value} %`;
  const at = entry?.value.at ?? section.at;
  const hint = `write ${value / 100}`;
  section.problems.warning(at, entry?.path ?? section.path, "fraction", message, hint);
  return value / 100;
}

function readRecovery(section: Section): Recovery | null {
  const enabled = section.flag("enabled") ?? false;
  const meanTimeMs = section.duration("mean_time") ?? MEAN_MS;
  const stdDevMs = section.duration("std_dev") ?? 0;
  const found: Recovery = {
    probability: section.number("probability", { min: 0, max: 1 }) ?? 1,
    meanTimeMs,
    stdDevMs: stdDevMs === 0 ? Math.round(meanTimeMs / 4) : stdDevMs,
    replaceFatal: section.flag("replace_fatal") ?? false,
    replaceColdStartMs: section.duration("replace_cold_start") ?? 0,
  };
  section.finish();
  return section.given && enabled ? found : null;
}
