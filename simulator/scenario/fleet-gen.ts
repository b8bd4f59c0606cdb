/** `stress.fleet_gen` with its `startup`. */
import { quoteShort } from "../../reconciler/config/problem.ts";
import type { Section } from "../../reconciler/config/section.ts";
import { readMapping, readPart } from "../../reconciler/config/table.ts";
import { readTexts } from "../../reconciler/config/value.ts";
import { fillTable, type PartOf } from "../../schema/config/field.ts";
import { POOL_NAME } from "../../schema/id.ts";
import { nearest } from "../../schema/nearest.ts";
import type { FleetGen, Startup, Template, Weighted } from "./scenario.ts";
import { FLEET_GEN, STARTUP, TEMPLATE } from "./table.ts";
import { sectionsOf, weightsOf } from "./value.ts";

const TEMPLATES_MAX = 1_000;
/** Letters of the zones that every region has when the file lists none. */
const ZONE_LETTERS = ["a", "b", "c", "d"];
/** Parts of a node id (`schema/id.ts`); anything else would make ids that the product refuses. */
const PART = /^[A-Za-z0-9](?:[A-Za-z0-9._:/@-]*[A-Za-z0-9])?$/;
/** Three parts of this length and an index fit the 128 characters of a node id. */
const PART_MAX = 38;

const PROVIDERS: Weighted = [
  { name: "aws", weight: 35 },
  { name: "gcp", weight: 50 },
  { name: "lambda", weight: 15 },
];
const REGIONS: Weighted = [
  { name: "asia-east1", weight: 10 },
  { name: "europe-west1", weight: 15 },
  { name: "us-central1", weight: 30 },
  { name: "us-east1", weight: 25 },
  { name: "us-west1", weight: 20 },
];

/** Reads the generator; `null` if it is absent or cannot make a fleet. */
export function readFleetGen(stress: Section): FleetGen | null {
  const gen = stress.map("fleet_gen");
  if (!gen.given) return null;
  const part = readPart(gen, FLEET_GEN);
  const { totalNodes } = part;
  const templates = readTemplates(gen);
  const providers = weightsOf(gen, "providers") ?? PROVIDERS;
  const regions = weightsOf(gen, "regions") ?? REGIONS;
  checkParts(gen, "providers", providers);
  checkParts(gen, "regions", regions);
  const zones = readZones(gen, regions);
  const startup = readStartup(gen.map("startup"));
  gen.finish();
  if (totalNodes === null || templates.length === 0) return null;
  return { totalNodes, templates, providers, regions, zones, startup };
}

function checkParts(gen: Section, key: string, weights: Weighted): void {
  for (const { name } of weights) {
    const pattern = key === "providers" ? POOL_NAME : PART;
    if (pattern.test(name) && name.length <= PART_MAX) continue;
    const hint = `1 to ${PART_MAX} of A-Z a-z 0-9 . _ - with a letter or digit at both ends`;
    gen.fail(key, "name", `${quoteShort(name)} cannot be part of a node id`, hint);
  }
}

function readTemplates(gen: Section): Template[] {
  const names = new Map<string, number>();
  const sections = sectionsOf(gen, "templates", TEMPLATES_MAX);
  if (!gen.has("templates")) gen.missing("templates", "at least one template");
  else if (gen.items("templates")?.length === 0) {
    gen.fail("templates", "required", "needs at least one template");
  }
  return sections.map((section) => {
    const part = readMapping(section, TEMPLATE);
    const name = part.name ?? "";
    const before = names.get(name);
    if (name !== "" && (!PART.test(name) || name.length > PART_MAX)) {
      section.fail("name", "name", `${quoteShort(name)} cannot be part of a node id`);
    } else if (before !== undefined && name !== "") {
      const message = `${quoteShort(name)} already used at line ${before}`;
      section.fail("name", "duplicate_name", message);
    }
    names.set(name, section.at.line);
    const { gpuCount, weight, ...template } = fillTable(TEMPLATE, part);
    return { ...template, name, gpuCount: gpuCount ?? 1, weight: weight ?? 1 };
  });
}

function readZones(gen: Section, regions: Weighted): Record<string, string[]> {
  const zones = new Map<string, string[]>();
  const entry = gen.look("zones");
  const map = gen.map("zones");
  const entries = entry?.value.kind === "map" ? entry.value.entries : [];
  const known = regions.map((one) => one.name);
  for (const one of entries) {
    const names = readTexts(map.problems, one.value);
    if (names?.length === 0) map.fail(one.key, "required", "names no zone", "leave it out");
    if (names !== null && names.length > 0) zones.set(one.key, names);
    if (known.includes(one.key)) continue;
    const close = nearest(one.key, known);
    const hint = close === null ? null : `did you mean "${close}"?`;
    const message = "is a region without weight, so its zones are not used";
    map.problems.warning(one.at, one.path, "unused", message, hint);
  }
  for (const name of known) {
    if (!zones.has(name))
      zones.set(
        name,
        ZONE_LETTERS.map((letter) => `${name}-${letter}`),
      );
  }
  return Object.fromEntries(zones);
}

const DURATION_MS = {
  instant: 0,
  linear: 30_000,
  exponential: 120_000,
  wave: 300_000,
} as const;
const BATCH = 100;
/** Only where no pattern is named. */
const JITTER_PERCENT = 10;

type StartupPart = PartOf<typeof STARTUP>;

function readStartup(section: Section): Startup {
  const part = readMapping(section, STARTUP);
  checkStartup(section, part);
  const pattern = part.pattern ?? "linear";
  return {
    pattern,
    durationMs: pattern === "instant" ? 0 : (part.durationMs ?? DURATION_MS[pattern]),
    batchSize: part.batchSize || BATCH,
    jitterPercent: part.jitterPercent ?? (section.has("pattern") ? 0 : JITTER_PERCENT),
    coldStart: coldStartOf(part),
  };
}

/** What must hold between the keys of a start-up. */
function checkStartup(section: Section, part: StartupPart): void {
  const { coldStartMinMs: minMs, coldStartMaxMs: maxMs, coldStartStddevMs } = part;
  if (minMs !== null && maxMs !== null && minMs > maxMs) {
    section.fail("cold_start_min", "range", "is longer than cold_start_max");
  }
  if (coldStartStddevMs !== null && !section.has("cold_start_mean")) {
    section.fail("cold_start_stddev", "required", "needs cold_start_mean");
  }
}

function coldStartOf(part: StartupPart): Startup["coldStart"] {
  const { coldStartMinMs: minMs, coldStartMaxMs: maxMs, coldStartMeanMs: meanMs } = part;
  if (meanMs !== null && meanMs > 0) {
    return {
      kind: "normal",
      meanMs,
      stdDevMs: part.coldStartStddevMs ?? 0,
      minMs: minMs ?? 0,
      maxMs,
    };
  }
  if (minMs === null && maxMs === null) return { kind: "none" };
  const from = minMs ?? 0;
  return { kind: "uniform", minMs: from, maxMs: Math.max(from, maxMs ?? from) };
}
