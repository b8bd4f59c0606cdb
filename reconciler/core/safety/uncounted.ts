/** Nodes out of service that the isolation budget does not count, and why not. Pure. */
import type { Config } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import { type Fleet, isUnbought, isWorker } from "../fleet.ts";
import { isHeldInSlurm } from "../slurm/hold.ts";
import { isEvident } from "./evident.ts";
import { QUARANTINED } from "./in-flight.ts";
import { slotKeyOf } from "./scope.ts";
import { countIsolated, type Tally } from "./tally.ts";

/** In the order in which they are asked: a node has one. */
const UNCOUNTED = [
  /** An XID that proves broken hardware by itself. */
  "evident",
  /** Cordoned for the evidence of a rule that is suspended. */
  "suspended_rule",
  /** Navarch cordoned it for another reason than its health: it leaves. */
  "leaving",
  /** An unmanaged machine: repairs of bought ones do not wait for it. */
  "unmanaged",
  /** Cordoned for its health longer ago than the window. */
  "past",
  /** Its agent is silent, or its Node is lost: a budget of its own, `health.max_unavailable`. */
  "silence",
  "person",
  /** Somebody else's mark in Kubernetes or Slurm. */
  "others",
] as const;
export type Uncounted = (typeof UNCOUNTED)[number];

/** How many nodes there are of each kind, all kinds listed. */
export function countUncounted(fleet: Fleet, config: Config, now: number): Map<Uncounted, number> {
  const { windowMs } = config.safety.budgets.isolate;
  const keysOf = (tally: Tally): Set<string> =>
    new Set([...tally.values()].flatMap((slots) => [...slots.keys()]));
  const bought = keysOf(countIsolated(fleet, now, windowMs, true));
  const all = keysOf(countIsolated(fleet, now, windowMs));
  const isAlone = [...fleet.nodes.values()].every(isUnbought);
  const counted = isAlone ? all : bought;
  const counts = new Map(UNCOUNTED.map((kind) => [kind, 0]));
  for (const node of fleet.nodes.values()) {
    if (node.phase.kind === "gone" || isWorker(node) || counted.has(slotKeyOf(node))) continue;
    const kind = all.has(slotKeyOf(node)) ? "unmanaged" : kindOf(node);
    if (kind !== null) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

function kindOf(node: Node): Uncounted | null {
  const { cordon, kube, session, lastSession } = node;
  if (cordon.product !== null) {
    if (isEvident(node)) return "evident";
    if (session === null && lastSession?.how === QUARANTINED) return "suspended_rule";
    if ((cordon.product.cause ?? "fault") !== "fault") return "leaving";
    if (cordon.human !== null) return "person";
    return node.isolatedAt !== null ? "past" : "silence";
  }
  if (cordon.human !== null) return "person";
  const isMarked = kube !== null && kube.unschedulable && kube.isolatedUid !== kube.uid;
  return isMarked || isHeldInSlurm(node) ? "others" : null;
}
