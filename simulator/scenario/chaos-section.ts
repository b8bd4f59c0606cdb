/** Reads `stress.chaos` of a scenario. */
import { fillTable } from "../../schema/config/field.ts";
import type { Section } from "../../reconciler/config/section.ts";
import { xid } from "../../health/catalog/catalog.ts";
import { readCorrelated } from "./correlated.ts";
import type { Names } from "./name.ts";
import { readOutages } from "./outage.ts";
import type { Cascading, Chaos, Recovery } from "./scenario.ts";
import { readMapping, readPart } from "../../reconciler/config/table.ts";
import { CASCADING, CHAOS, FAILURE_WEIGHT, RECOVERY } from "./table.ts";
import { sectionsOf, weightsOf } from "./value.ts";

/** Upstream's list for a file that names none, all of one weight. */
const XIDS = [13, 31, 32, 43, 45, 48, 63, 64, 74, 79, 92, 94, 95];
const TYPES_MAX = 1_000;
const SPREAD_MS = 1_000;

/** Reads the section; `null` if it is absent. `names` is what outages may hit. */
export function readChaos(stress: Section, names: Names): Chaos | null {
  const chaos = stress.map("chaos");
  if (!chaos.given) return null;
  const found: Chaos = {
    ...fillTable(CHAOS, readPart(chaos, CHAOS)),
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
    const { type, weight } = readMapping(section, FAILURE_WEIGHT);
    return type === null || weight === null ? [] : [{ type, weight }];
  });
  // Upstream falls back to XIDs where nothing has a weight.
  const some = found.some((one) => one.weight > 0);
  return some ? found : [{ type: "xid_error", weight: 1 }];
}

function readCascading(section: Section): Cascading | null {
  const enabled = section.flag("enabled");
  const { maxDelayMs, ...found } = fillTable(CASCADING, readMapping(section, CASCADING));
  const { minDelayMs, maxAffected } = found;
  if (maxDelayMs !== null && maxDelayMs < minDelayMs) {
    section.fail("max_delay", "range", "is shorter than min_delay");
  }
  if (maxAffected > 1) {
    // A fraction in spite of its name; figures above 1 can only have been meant as percent.
    const entry = section.look("max_affected_percent");
    const message = `is a fraction; ${maxAffected} is read as ${maxAffected} %`;
    const [at, path] = [entry?.value.at ?? section.at, entry?.path ?? section.path];
    section.problems.warning(at, path, "fraction", message, `write ${maxAffected / 100}`);
    found.maxAffected /= 100;
  }
  if (!section.given || enabled !== true) return null;
  return { ...found, maxDelayMs: maxDelayMs ?? minDelayMs + SPREAD_MS };
}

function readRecovery(section: Section): Recovery | null {
  const enabled = section.flag("enabled");
  const found = fillTable(RECOVERY, readMapping(section, RECOVERY));
  if (!section.given || enabled !== true) return null;
  return {
    ...found,
    stdDevMs: found.stdDevMs || Math.round(found.meanTimeMs / 4),
    replaceColdStartMs: found.replaceColdStartMs ?? 0,
  };
}
