/**
 * Matches nodes whose Node object was removed while their machine is alive, and Node objects whose
 * machine is gone. Pure.
 */
import type { DrainSight } from "../core/fleet.ts";
import type { EndedNode, DesiredState } from "../core/kubernetes/desired-state.ts";

/**
 * Objects to be removed. A machine that was abandoned and adopted again is a node, so its object
 * stays, whatever the state of its kubelet.
 */
export function leftOver({ ended, shown }: DesiredState): EndedNode[] {
  if (ended.length === 0) return [];
  const living = new Set(shown.map(({ uid }) => uid));
  return ended.filter(({ uid }) => !living.has(uid));
}

/**
 * Names that the pods of orphaned nodes are bound to, by node. A name that another machine uses now
 * is left out; an unmatched object of the name may be the machine's own new registration, so it
 * counts. `uidOf`: UID of the object with that name; `undefined`: none exists.
 */
export function orphanedNames(
  { orphaned, shown, ended }: DesiredState,
  uidOf: (name: string) => string | undefined,
): ReadonlyMap<string, string> {
  // The ordinary case, in a fleet of thousands.
  if (orphaned.length === 0) return new Map();
  const taken = new Set([...shown, ...ended].map(({ uid }) => uid));
  const left = orphaned.filter(({ name }) => !taken.has(uidOf(name) ?? ""));
  return new Map(left.map(({ node, name }) => [node, name]));
}

export const leftPods = (count: number): string => `${count} ${count === 1 ? "pod" : "pods"} left`;

/**
 * Adds the pods bound to former names of a machine that registered again: the cluster ends them,
 * and until then they may run. `names`: former names without a Node.
 */
export function withFormer(
  left: DrainSight,
  names: readonly string[],
  working: (name: string) => number,
): DrainSight {
  if (left.kind !== "empty" && left.kind !== "busy") return left;
  const held = names.filter((name) => working(name) > 0);
  const more = held.reduce((sum, name) => sum + working(name), 0);
  if (more === 0) return left;
  const message = `${leftPods(more)} under its former name ${held.join(", ")}`;
  if (left.kind === "empty") return { kind: "busy", remaining: more, message };
  return { ...left, remaining: left.remaining + more, message: `${left.message}; ${message}` };
}
