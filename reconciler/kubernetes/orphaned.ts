/**
 * Nodes whose object was taken away while their machine lives, and objects whose node is gone: what
 * is still theirs, and what is somebody else's by now. Pure.
 */
import type { DrainSight } from "../core/fleet.ts";
import type { EndedNode, DesiredState } from "../core/desired-state.ts";

/**
 * Objects to be removed. A machine that was given up and taken back is a node again, and the object
 * is that one's, however its kubelet fares.
 */
export function leftOver({ ended, shown }: DesiredState): EndedNode[] {
  if (ended.length === 0) return [];
  const living = new Set(shown.map(({ uid }) => uid));
  return ended.filter(({ uid }) => !living.has(uid));
}

/**
 * The names under which their pods are still to be found, by node. A name that is another machine's
 * by now says nothing about the first one any more; an object that is nobody's yet may be its own,
 * registered again with its pods still running and not told apart yet. `uidOf`: of the object that
 * has the name now; `undefined` = there is none.
 */
export function orphanedNames(
  { orphaned, shown, ended }: DesiredState,
  uidOf: (name: string) => string | undefined,
): ReadonlyMap<string, string> {
  // Mostly there is none, and the fleet has thousands.
  if (orphaned.length === 0) return new Map();
  const taken = new Set([...shown, ...ended].map(({ uid }) => uid));
  const left = orphaned.filter(({ name }) => !taken.has(uidOf(name) ?? ""));
  return new Map(left.map(({ node, name }) => [node, name]));
}

export const leftPods = (count: number): string => `${count} ${count === 1 ? "pod" : "pods"} left`;

/**
 * What is left on a machine that registered again under another name: also the pods that are bound
 * to a former one which no Node has now. The cluster ends them, and until then they may run.
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
  const said = `${leftPods(more)} under its former name ${held.join(", ")}`;
  if (left.kind === "empty") return { kind: "busy", remaining: more, message: said };
  return { ...left, remaining: left.remaining + more, message: `${left.message}; ${said}` };
}
