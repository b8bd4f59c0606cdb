/** Categories and filters of the cluster's events. Pure. */
import type { ClusterEvent, EventCategory } from "../../../schema/console/cluster.ts";
import type { EventQuery } from "./cluster.ts";

/** Reasons of warnings that say that something failed, and not that it may. */
const FAILING = /^Failed|^(?:BackOff|Evicted|OOMKilling|NotTriggerScaleUp)$|Error$/;

/** The API has the types Normal and Warning; unknown types count as warnings. */
export function categoryOf({ type, reason }: Pick<ClusterEvent, "type" | "reason">): EventCategory {
  if (type === "Normal") return "normal";
  return FAILING.test(reason) ? "error" : "warning";
}

export function matchesEvent(event: ClusterEvent, query: EventQuery): boolean {
  const { involvedObject: about } = event;
  const { namespace, type, kind, name, text } = query;
  if (namespace !== null && event.namespace !== namespace) return false;
  if (type !== null && !same(event.type, type) && !same(event.category, type)) return false;
  if (kind !== null && !same(about.kind, kind)) return false;
  if (name !== null && about.name !== name) return false;
  if (text === null) return true;
  const wanted = text.toLowerCase();
  return [about.name, event.name, event.reason, event.message, event.type].some((one) => {
    return one.toLowerCase().includes(wanted);
  });
}

const same = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();
