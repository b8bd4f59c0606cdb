/** Reads `scaling.autoscaler`: five types, three of which nest. */
import {
  AUTOSCALER,
  type Autoscaler,
  AUTOSCALERS,
  type AutoscalerType,
  TYPES,
} from "../../schema/config/autoscaler.ts";
import type { Table, ValueOf } from "../../schema/config/field.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { readSchedule } from "./schedule.ts";
import type { Section } from "./section.ts";
import { fillTable, readPart } from "./table.ts";

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
    const message = `is not a field of a ${type} autoscaler`;
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
    case "scheduled": {
      const schedule = readSchedule(section, maxNodes);
      return { type, schedule, ...readWhole(section, AUTOSCALER[type]), fallback: fallback() };
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
