/**
 * `scaling.autoscaler`: five types, three of which nest. Each key is checked against the type it
 * stands in, so that a key of another type is named as such.
 */
import { AUTOSCALER_TYPES, type Autoscaler } from "../../schema/config.ts";
import { readSection, type Section } from "./section.ts";
import { readSchedule } from "./schedule.ts";

/** An autoscaler inside an autoscaler inside …; four levels say everything the types can. */
const DEPTH_MAX = 4;

type Type = Autoscaler["type"];

const KEYS: Record<Type, readonly string[]> = {
  reactive: ["scale_up_threshold", "scale_down_threshold", "step"],
  queue: ["jobs_per_node", "count"],
  scheduled: ["schedule", "timezone", "fallback"],
  predictive: ["lookback_window", "growth_factor", "fallback"],
  composite: ["mode", "autoscalers"],
};

/** Reads one autoscaler; `null` if it is absent or unsound. `maxNodes` is the pool's, if known. */
export function readAutoscaler(
  section: Section,
  maxNodes: number | null,
  depth = 1,
): Autoscaler | null {
  if (!section.given) return null;
  if (depth > DEPTH_MAX) {
    const message = `autoscalers nest more than ${DEPTH_MAX} levels deep`;
    section.problems.error(section.at, section.path, "limit", message);
    return null;
  }
  const type = section.choice("type", AUTOSCALER_TYPES);
  if (!section.has("type")) section.missing("type", `one of ${AUTOSCALER_TYPES.join(", ")}`);
  if (type === null) {
    // Which keys belong is not known, but one that belongs to no type is wrong in any case.
    for (const key of Object.values(KEYS).flat()) section.look(key);
    section.finish();
    return null;
  }
  const autoscaler = READERS[type](section, maxNodes, depth);
  section.finish((key) => {
    const others = AUTOSCALER_TYPES.filter((other) => KEYS[other].includes(key));
    if (others.length === 0) return null;
    const message = `is not a field of a ${type} autoscaler`;
    return { message, hint: `it belongs to ${others.join(", ")}` };
  });
  return autoscaler;
}

type Reader = (section: Section, maxNodes: number | null, depth: number) => Autoscaler | null;

const READERS: Record<Type, Reader> = {
  reactive: readReactive,
  queue: (section) => ({
    type: "queue",
    jobsPerNode: section.integer("jobs_per_node", { min: 1 }) ?? 10,
    count: section.choice("count", ["pods", "gpus"]) ?? "pods",
  }),
  scheduled: (section, maxNodes, depth) => ({
    type: "scheduled",
    schedule: readSchedule(section, maxNodes),
    timezone: readTimezone(section),
    fallback: readAutoscaler(section.map("fallback"), maxNodes, depth + 1),
  }),
  predictive: (section, maxNodes, depth) => ({
    type: "predictive",
    lookbackWindow: section.integer("lookback_window", { min: 2, max: 10_000 }) ?? 10,
    growthFactor: readGrowth(section),
    fallback: readAutoscaler(section.map("fallback"), maxNodes, depth + 1),
  }),
  composite: (section, maxNodes, depth) => ({
    type: "composite",
    mode: section.choice("mode", ["max", "min", "avg"]) ?? "max",
    autoscalers: readMembers(section, maxNodes, depth),
  }),
};

function readReactive(section: Section): Autoscaler {
  const percent = { min: 0, max: 100 };
  const up = section.number("scale_up_threshold", percent);
  const down = section.number("scale_down_threshold", percent);
  warnFraction(section, "scale_up_threshold", up);
  warnFraction(section, "scale_down_threshold", down);
  const step = section.integer("step", { min: 1 }) ?? 1;
  const scaleUpThreshold = up ?? 80;
  const scaleDownThreshold = down ?? 20;
  // After a bad value the default would be compared, and blamed for what was not written.
  const known =
    (up !== null || !section.has("scale_up_threshold")) &&
    (down !== null || !section.has("scale_down_threshold"));
  if (known && scaleDownThreshold >= scaleUpThreshold) {
    const at = section.look(down === null ? "scale_up_threshold" : "scale_down_threshold");
    const message =
      `scale_down_threshold ${scaleDownThreshold} must be below ` +
      `scale_up_threshold ${scaleUpThreshold}`;
    section.problems.error(at?.value.at ?? section.at, section.path, "range", message);
  }
  return { type: "reactive", scaleUpThreshold, scaleDownThreshold, step };
}

/** Who writes 0.8 for 80 % gets a pool that grows at one percent of load and never shrinks. */
function warnFraction(section: Section, key: string, value: number | null): void {
  if (value === null || value <= 0 || value > 1) return;
  const at = section.look(key)?.value.at ?? section.at;
  const message = `${value} means ${value} %: thresholds are percentages from 0 to 100`;
  const percent = Math.round(value * 100_000) / 1_000;
  const hint = `write ${percent} if ${percent} percent is meant`;
  section.problems.warning(at, `${section.path}.${key}`, "fraction", message, hint);
}

function readGrowth(section: Section): number {
  const factor = section.number("growth_factor");
  if (factor !== null && factor <= 0) section.fail("growth_factor", "range", "must be above 0");
  return factor ?? 1.2;
}

function readTimezone(section: Section): string {
  const zone = section.text("timezone");
  if (zone === null) return "UTC";
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return zone;
  } catch {
    const hint = "write an IANA name, for example Europe/Oslo";
    section.fail("timezone", "timezone", `unknown time zone ${JSON.stringify(zone)}`, hint);
    return "UTC";
  }
}

function readMembers(section: Section, maxNodes: number | null, depth: number): Autoscaler[] {
  const items = section.items("autoscalers");
  if (!section.has("autoscalers")) section.missing("autoscalers", "at least one autoscaler");
  if (items?.length === 0) section.fail("autoscalers", "required", "needs at least one autoscaler");
  return (items ?? [])
    .map((item) => readSection(section.problems, item, item.path, item.at))
    .map((member) => readAutoscaler(member, maxNodes, depth + 1))
    .filter((member) => member !== null);
}
