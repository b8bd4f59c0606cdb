/**
 * Decides how many nodes a pool gets. Pure. `min_nodes` is a floor that needs no autoscaler. What
 * counts is what the pool owns or is buying, not what has registered. A slot is filled from the
 * moment its node is decided until the node is gone.
 */
import type { PoolConfig } from "../../../schema/config.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { Plan } from "../../../schema/plan.ts";
import { isUnbought, verdictOfNode, workOn, type Sight } from "../fleet.ts";
import { impairmentOf } from "../safety/impaired.ts";
import { isReplaced } from "../safety/in-flight.ts";
import { hindranceOf } from "./bootstrap.ts";
import type { Scope } from "./decide.ts";
import { nodeIdOf } from "./offer.ts";
import { REMOVED_BY_NAME, SCALE_DOWN } from "./repair.ts";

/** Nodes admitted by one plan for one pool: a large pool grows in steps. */
const ADMIT_MAX = 50;

/** Whether a node counts for its pool's size: a slot that is being given up does not. */
function fills(node: Node): boolean {
  const { phase } = node;
  if (phase.kind === "gone") return false;
  if (phase.kind === "draining" || phase.kind === "terminating") {
    return phase.purpose !== "scale_down" && phase.purpose !== "surplus";
  }
  return true;
}

/**
 * Nodes that the wanted size no longer needs: the cheapest to lose, never more than the excess.
 * `sparesUnbought`: also unmanaged machines, after bought ones.
 */
export function candidatesOf(
  nodes: Node[],
  desired: number,
  sight: Sight,
  sparesBusy = false,
  wantedAt = 0,
  sparesUnbought = false,
): Set<NodeId> {
  // A held node is no capacity, and only a person gives it up.
  const filling = nodes.filter((node) => fills(node) && node.phase.kind !== "held");
  const carrying = filling.filter((node) => !isUnbought(node) || spares(node, wantedAt));
  const slots = new Set(carrying.map((node) => node.slot ?? node.id));
  const excess = slots.size - desired;
  const seconds = secondOccupants(filling);
  if (excess <= 0) return seconds;
  const candidates = filling.filter(
    (node) =>
      (isSpare(node) || isReplaced(node)) &&
      (sparesUnbought || !isUnbought(node)) &&
      !(sparesBusy && !isNamed(node) && isBusy(node, sight)) &&
      !(node.sparedAt !== null && node.sparedAt >= wantedAt),
  );
  candidates.sort(
    (a, b) =>
      cost(a, sight) - cost(b, sight) || a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1),
  );
  const chosen = new Set<NodeId>(seconds);
  const given = new Set<number | string>();
  for (const node of candidates) {
    const slot = node.slot ?? node.id;
    const isLate =
      isReplaced(node) && filling.some((one) => one !== node && one.slot === node.slot);
    if (!given.has(slot) && (given.size === excess || isLate)) continue;
    given.add(slot);
    chosen.add(node.id);
  }
  // The second occupant of a slot that is given up leaves with it.
  for (const node of candidates) {
    if (isReplaced(node) && given.has(node.slot ?? node.id)) chosen.add(node.id);
  }
  return chosen;
}

/**
 * Whether an unmanaged machine lets the pool do without a bought one: it serves, and was in the
 * pool when the size was set. Its agent names the pool, so its arrival alone gives up nothing;
 * otherwise one that comes and goes would end healthy machines.
 */
function spares(node: Node, wantedAt: number): boolean {
  if (node.phase.kind !== "serving" || verdictOfNode(node) === "unhealthy") return false;
  return Math.max(node.phase.since, node.pooledAt ?? node.createdAt) <= wantedAt;
}

/**
 * Replacements of a node that stayed: its repair was cancelled after they were bought (`surge`). A
 * slot has one occupant.
 */
function secondOccupants(filling: readonly Node[]): Set<NodeId> {
  const settled = new Map<string, Node>();
  for (const node of filling) {
    const stays = node.phase.kind === "serving" || node.phase.kind === "suspect";
    if (stays) settled.set(node.id, node);
  }
  const seconds = new Set<NodeId>();
  for (const node of filling) {
    const first = node.replaces === null ? undefined : settled.get(node.replaces);
    if (first !== undefined && first.slot === node.slot && isSpare(node)) seconds.add(node.id);
  }
  return seconds;
}

function isSpare(node: Node): boolean {
  switch (node.phase.kind) {
    case "requested":
    case "booting":
    case "bootstrapping":
    case "verifying":
    case "serving":
    case "suspect":
    case "replacing":
      return true;
    default:
      return false;
  }
}

function isNamed({ cordon }: Node): boolean {
  return cordon.product?.why.startsWith(REMOVED_BY_NAME) === true;
}

/** It may be in use: on a node that takes work, "unknown" counts as busy. */
function isBusy(node: Node, sight: Sight): boolean {
  const { kind } = node.phase;
  const left = workOn(sight, node.id).kind;
  // Work may run on a machine that waits for the rest of its GPUs, or that was adopted.
  if (kind === "verifying") return left === "busy";
  if (kind !== "serving" && kind !== "suspect" && kind !== "replacing") return false;
  return kind === "serving" ? left !== "empty" : left === "busy";
}

/** The cost of losing this node, cheapest first. */
function cost(node: Node, sight: Sight): number {
  if (isNamed(node)) return -20;
  if (isReplaced(node)) return -7;
  // Machines that are paid for go first; the others cost nothing.
  if (isUnbought(node)) return 5_000 + (isBusy(node, sight) ? 1_000 : 0);
  if (node.phase.kind === "requested") return -5;
  const busy = isBusy(node, sight) ? 1_000 : 0;
  if (node.cordon.product?.why.startsWith(SCALE_DOWN) === true) return busy - 10;
  if (node.cordon.human !== null || node.cordon.product !== null) return busy;
  if (verdictOfNode(node) === "unhealthy") return busy + 1;
  if (node.phase.kind !== "serving") return busy + 2;
  return 10 + busy + (sight.utilization.get(node.id) ?? 50);
}

export function decidePool(nodes: Node[], scope: Scope, pool: PoolConfig, plan: Plan): void {
  const { fleet, sight, desired } = scope;
  const state = fleet.pools.get(pool.name);
  if (state === undefined) return;
  type Reason = Plan["waits"][number]["reason"];
  const wait = (reason: Reason, message: string, until: number | null): void =>
    void plan.waits.push({ node: null, pool: pool.name, reason, message, until });
  // Reported even while nothing is missing: nothing could be replaced.
  const hindrance = hindranceOf(pool, sight);
  if (hindrance?.known === true) {
    wait("bootstrap", `no machine can be set up: ${hindrance.message}`, null);
  }
  for (const message of impairmentsOf(pool, sight)) wait("provider", message, null);
  const { filled, live, adopted } = occupancyOf(nodes);
  const missing = desired - filled.size - adopted;
  if (missing <= 0) return;
  if (sight.frozen !== null) return wait("human", `the fleet is frozen: ${sight.frozen}`, null);
  if (state.hold !== null && state.hold.until > sight.now) {
    return wait(
      "human",
      `pool ${pool.name} is held by ${state.hold.by}: ${state.hold.why}`,
      state.hold.until,
    );
  }
  if (pool.providers.length === 0) {
    const message = `${missing} nodes are missing, and the pool names no provider to buy them at`;
    return wait("provider", message, null);
  }
  const known = pool.providers.some((ref) => sight.providers.get(ref.name)?.listed === true);
  if (!known) {
    const why = pool.providers
      .map((ref) => sight.providers.get(ref.name)?.unavailable ?? "not listed yet")
      .join("; ");
    return wait(
      "provider",
      `${missing} nodes are missing, but what exists at the providers is not known: ${why}`,
      null,
    );
  }
  if (hindrance !== null && hindrance.total) {
    const missed = `${missing} nodes are missing, and nothing is bought: ${hindrance.message}`;
    return hindrance.known ? undefined : wait("bootstrap", missed, null);
  }
  let gen =
    state.nextGen + plan.actions.filter((a) => a.kind === "admit" && a.pool === pool.name).length;
  let slot = 0;
  for (let left = Math.min(missing, ADMIT_MAX); left > 0; left--, gen++, slot++) {
    while (live.has(slot)) slot++;
    const node = nodeIdOf(fleet.fleetId, pool.name, slot, gen) as NodeId;
    if (fleet.nodes.has(node)) {
      // Its agent reported before the cloud listed it: it exists, and nothing is bought.
      return wait("provider", `the agent of ${node} reports, but no list shows its machine`, null);
    }
    const before = lastOf(fleet.nodes.values(), pool.name, slot);
    const because =
      before === null ? `pool ${pool.name} wants ${desired} nodes` : `takes the place of ${before}`;
    plan.actions.push({
      kind: "admit",
      node,
      pool: pool.name,
      slot,
      gen,
      replaces: before,
      because: [because],
    });
  }
}

/** Filled slots, occupied slots, and unmanaged machines. */
function occupancyOf(nodes: readonly Node[]) {
  const filled = new Set<number>();
  const live = new Set<number>();
  let adopted = 0;
  for (const node of nodes) {
    if (isUnbought(node) && fills(node)) adopted += 1;
    if (node.slot === null) continue;
    live.add(node.slot);
    if (fills(node)) filled.add(node.slot);
  }
  return { filled, live, adopted };
}

/** The pool's providers that give no machines, with why. */
function impairmentsOf(pool: PoolConfig, sight: Sight): string[] {
  return pool.providers.flatMap(({ name }) => {
    const provider = sight.providers.get(name);
    const why = impairmentOf(provider);
    if (why === null) return [];
    const what = provider?.unavailable === null ? "" : "nothing can be bought there: ";
    return [`provider ${name}: ${what}${why}`];
  });
}

/**
 * The node that last left this slot because of its own failure; the new one concludes its session.
 */
function lastOf(nodes: Iterable<Node>, pool: string, slot: number): NodeId | null {
  let best: Node | null = null;
  for (const node of nodes) {
    if (node.pool !== pool || node.slot !== slot || node.phase.kind !== "gone") continue;
    if (best === null || node.gen > best.gen) best = node;
  }
  if (best === null || best.phase.kind !== "gone") return null;
  const { purpose } = best.phase;
  // A replacement that never came up leaves the session of the node before it open.
  if (purpose === "failed" || purpose === "lemon") return best.replaces;
  return purpose === "replace" || purpose === "lost" || purpose === "operator" ? best.id : null;
}
