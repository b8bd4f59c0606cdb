/** Reads `scaling.autoscaler`: seven types, three of which nest. */
import { withArticle } from "../../schema/article.ts";
import {
  AUTOSCALER,
  type Autoscaler,
  AUTOSCALERS,
  type AutoscalerType,
  TYPES,
} from "../../schema/config/autoscaler.ts";
import { fillTable, type Table, type ValueOf } from "../../schema/config/field.ts";
import { formatDuration } from "../../schema/duration.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { readSchedule, warnOverlaps } from "./schedule.ts";
import type { Section } from "./section.ts";
import { readPart } from "./table.ts";

const DEPTH_MAX = 4;

/** `null` if it is absent or wrong. `maxNodes` is the pool's, if known. */
export function readAutoscaler(
  section: Section,
  maxNodes: number | null,
  depth = 1,
): Autoscaler | null {
  if (!section.given) return null;
  if (depth > DEPTH_MAX) {
    const message = `autoscalers nest more than ${DEPTH_MAX} levels deep`;
    return section.problems.error(section.at, section.path, "limit", message);
  }
  const type = section.choice("type", TYPES);
  if (!section.has("type")) section.missing("type", `one of ${TYPES.join(", ")}`);
  if (type === null) {
    // Without a type every key of any type is accepted; other keys are still wrong.
    for (const key of Object.keys(AUTOSCALERS)) section.look(key);
    section.finish();
    return null;
  }
  const autoscaler = readType(section, type, maxNodes, depth);
  section.finish((key) => {
    const others = TYPES.filter((other) => Object.hasOwn(AUTOSCALER[other], key));
    if (others.length === 0) return null;
    const message = `is not a field of ${withArticle(type)} autoscaler`;
    return { message, hint: `it belongs to ${others.join(", ")}` };
  });
  return autoscaler;
}

function readType(
  section: Section,
  type: AutoscalerType,
  maxNodes: number | null,
  depth: number,
): Autoscaler {
  const fallback = () => readAutoscaler(section.map("fallback"), maxNodes, depth + 1);
  switch (type) {
    case "reactive":
      return { type, ...readWhole(section, AUTOSCALER[type]) };
    case "queue":
      return { type, ...readWhole(section, AUTOSCALER[type]) };
    case "idle":
      return { type, ...readIdle(section, maxNodes) };
    case "external":
      return { type, ...readExternal(section) };
    case "scheduled": {
      const schedule = readSchedule(section, maxNodes);
      const whole = readWhole(section, AUTOSCALER[type]);
      if (!section.problems.failed()) warnOverlaps(section, schedule, whole.timezone);
      return { type, schedule, ...whole, fallback: fallback() };
    }
    case "predictive":
      return { type, ...readWhole(section, AUTOSCALER[type]), fallback: fallback() };
    case "composite": {
      const members = section.list("autoscalers", "autoscaler");
      const read = members.map((member) => readAutoscaler(member, maxNodes, depth + 1));
      const autoscalers = read.filter((member) => member !== null);
      return { type, ...readWhole(section, AUTOSCALER[type]), autoscalers };
    }
    default:
      return unreachable(type);
  }
}

const readWhole = <T extends Table>(section: Section, table: T): ValueOf<T> =>
  fillTable(table, readPart(section, table));

function readIdle(section: Section, maxNodes: number | null): ValueOf<typeof AUTOSCALER.idle> {
  const value = readWhole(section, AUTOSCALER.idle);
  const { minIdle, maxIdle, slotsPerNode } = value;
  const nodes = Math.ceil(minIdle / slotsPerNode);
  if (maxNodes !== null && nodes > maxNodes) {
    section.warn("min_idle", "range", `${nodes} nodes are more than max_nodes ${maxNodes}`);
  }
  if (maxIdle !== null && maxIdle < minIdle) {
    const least = minIdle + slotsPerNode - 1;
    const message = `max_idle ${maxIdle} is below min_idle ${minIdle}: ${least} counts`;
    section.warn("max_idle", "range", message);
  }
  return value;
}

type External = ValueOf<typeof AUTOSCALER.external>;

/** Keys of each source, all of which it needs, and those of the request. */
const NEEDED: Readonly<Record<External["source"], readonly string[]>> = {
  prometheus: ["url", "query"],
  http: ["url", "pointer"],
  command: ["command"],
};
const REQUEST = ["token_env", "token_file", "username", "ca_file"];

/** The keys of one source; those of another one are errors. */
function readExternal(section: Section): External {
  const value = readWhole(section, AUTOSCALER.external);
  const { source } = value as { source: External["source"] | null };
  if (source === null) return value;
  for (const key of NEEDED[source]) if (!section.has(key)) section.missing(key);
  const others = new Set([...Object.values(NEEDED).flat(), ...REQUEST]);
  const own = [...NEEDED[source], ...(source === "command" ? [] : REQUEST)];
  for (const key of own) others.delete(key);
  for (const key of others) {
    if (section.has(key)) section.fail(key, "misplaced", `is no key of source ${source}`);
  }
  if (section.has("token_env") && section.has("token_file")) {
    section.fail("token_env", "conflict", "there are two tokens", "remove token_env or token_file");
  }
  if (section.has("username") && !section.has("token_env") && !section.has("token_file")) {
    section.fail("username", "required", "has no password", "set token_file or token_env");
  }
  const { intervalMs, expiryMs } = value;
  if (expiryMs !== null && expiryMs <= intervalMs) {
    const interval = formatDuration(intervalMs);
    const message = `a reading is unknown before the next: interval is ${interval}`;
    section.warn("expiry", "range", message, "write at least twice the interval");
  }
  return value;
}
