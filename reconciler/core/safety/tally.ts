/** Slots out of service in each scope, from the durable fleet. Pure. */
import type { Config } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import { desiredOf, type Fleet, isUnbought } from "../fleet.ts";
import { isEvident } from "./evident.ts";
import { holdsPlace, isSick, QUARANTINED, vacantSlots } from "./in-flight.ts";
import { FLEET, predecessorOf, scopesOf, slotKeyOf } from "./scope.ts";

/** By scope: slots, each with whether its fault is evident by itself. */
export type Tally = Map<string, Map<string, boolean>>;

/** Counts the node's slot in each of its scopes; `nearOnly`: not in the fleet and the provider. */
export function addTo(
  tally: Tally,
  node: Node,
  before: Node | null = null,
  nearOnly = false,
): void {
  const evident = isEvident(node) || (before !== null && isEvident(before));
  const key = slotKeyOf(node);
  for (const scope of scopesOf(node, before)) {
    if (nearOnly && (scope === FLEET || scope.startsWith("domain:provider:"))) continue;
    const known = tally.get(scope) ?? new Map<string, boolean>();
    known.set(key, evident || known.get(key) === true);
    tally.set(scope, known);
  }
}

/** The purchase was refused: a sold-out place must not block the rest of the fleet. */
function isStuck({ phase }: Node): boolean {
  return phase.kind === "requested" && phase.refusal !== null;
}

/** Slots being replaced in each scope; `ownOnly`: without unmanaged machines. */
export function countOut(fleet: Fleet, config: Config, ownOnly = false): Tally {
  const out: Tally = new Map();
  const filled = filledSlots(fleet);
  const put = (node: Node): void => {
    if (filled.has(slotKeyOf(node))) return;
    addTo(out, node, predecessorOf(fleet, node), isStuck(node));
  };
  for (const node of fleet.nodes.values()) {
    if (holdsPlace(node) && !(ownOnly && isUnbought(node))) put(node);
  }
  const sizes = new Map(
    config.pools.map((pool) => [pool.name as string, desiredOf(pool, fleet.pools.get(pool.name))]),
  );
  for (const node of vacantSlots(fleet.nodes.values(), (pool) => sizes.get(pool) ?? 0)) put(node);
  return out;
}

/** Slots whose replacement is verified, whatever remains of the old node. */
function filledSlots(fleet: Fleet): Set<string> {
  const filled = new Set<string>();
  for (const node of fleet.nodes.values()) {
    if (node.phase.kind === "serving" && node.replaces !== null) filled.add(slotKeyOf(node));
  }
  return filled;
}

/**
 * Slots with a cordon for health within the window, whatever became of the machine: a replacement
 * gives nothing back, or a bad rule condemns as fast as machines can be bought.
 */
export function countIsolated(fleet: Fleet, now: number, windowMs: number, ownOnly = false): Tally {
  const out: Tally = new Map();
  for (const node of fleet.nodes.values()) {
    if (ownOnly && isUnbought(node)) continue;
    // A suspended rule spends no budget.
    if (node.session === null && node.lastSession?.how === QUARANTINED) continue;
    const marked = isSick(node) && node.operation !== null && node.operation.endsWith(".cordon");
    const at = node.isolatedAt;
    if (!marked && (at === null || at > now || now - at >= windowMs)) continue;
    addIsolated(out, node);
  }
  return out;
}

/** What is evident by itself spends nothing: no rule can be wrong about it. */
export function addIsolated(tally: Tally, node: Node): void {
  if (!isEvident(node)) addTo(tally, node);
}
