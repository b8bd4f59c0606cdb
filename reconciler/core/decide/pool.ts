/**
 * Decides how many nodes a pool gets. Pure. `min_nodes` is a floor that needs no autoscaler. Nodes
 * that the pool owns or is buying count, registered or not. A slot is filled from the moment its
 * node is decided until the node is gone.
 */
import type { PoolConfig } from "../../../schema/config.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { Plan, WaitReason } from "../../../schema/plan.ts";
import { isUnbought, type Sight } from "../fleet.ts";
import { fills } from "../scaling/candidate.ts";
import { isPowered, wantedSlots } from "../slurm/power-save.ts";
import { impairmentOf } from "../safety/impaired.ts";
import { sayEndRefused } from "../fold/ending.ts";
import { sayStranded, strandedIn } from "../reach.ts";
import { frozen, heldPool } from "./admit.ts";
import { strangerVeto } from "../stranger.ts";
import { hindranceOf } from "./bootstrap.ts";
import type { Scope } from "./decide.ts";
import { nodeIdOf } from "./offer.ts";
import { nextGenOf } from "./repair.ts";

/** Nodes admitted by one plan for one pool: a large pool grows in steps. */
const ADMIT_MAX = 50;

export function decidePool(nodes: Node[], scope: Scope, pool: PoolConfig, plan: Plan): void {
  const { fleet, sight, desired } = scope;
  const state = fleet.pools.get(pool.name);
  if (state === undefined) return;
  const wait = (reason: WaitReason, message: string, until: number | null = null): void =>
    void plan.waits.push({ node: null, pool: pool.name, reason, message, until });
  // Reported even while nothing is missing: nothing could be replaced.
  const hindrance = hindranceOf(pool, sight);
  if (hindrance?.known === true) {
    wait("bootstrap", `no machine can be set up: ${hindrance.message}`);
  }
  const impairments = impairmentsOf(pool, sight);
  for (const message of impairments) wait("provider", message);
  const here = new Map(nodes.map((node) => [node.id, node]));
  const { operations } = fleet;
  for (const lost of strandedIn({ nodes: here, operations }, sight.providers)) {
    wait("provider", sayStranded(lost));
  }
  for (const node of nodes) {
    const refused = sayEndRefused(node);
    if (refused !== null) wait("provider", refused);
  }
  const { filled, live, adopted } = occupancyOf(nodes);
  // Slurm names the slots; elsewhere the first free ones are taken.
  const named = isPowered(pool)
    ? wantedSlots(pool, state).flatMap(({ slot }) => (live.has(slot) ? [] : slot))
    : null;
  const missing = named?.length ?? desired - filled.size - adopted;
  if (missing <= 0) return;
  const paused = frozen(sight) ?? heldPool(state, sight) ?? strangerVeto(pool, fleet, sight);
  if (paused !== null) return wait(paused.reason, paused.message, paused.until);
  const missed = missing === 1 ? "1 node is missing" : `${missing} nodes are missing`;
  if (pool.providers.length === 0) {
    return wait("provider", `${missed}, and the pool names no provider to buy them at`);
  }
  const providers = pool.providers.map((ref) => sight.providers.get(ref.name));
  if (!providers.some((provider) => provider?.listed)) {
    if (impairments.length === providers.length) return;
    const why = providers.map((provider) => provider?.unavailable ?? "not listed yet").join("; ");
    return wait("provider", `${missed}, but what exists at the providers is not known: ${why}`);
  }
  if (hindrance?.total === true) {
    if (hindrance.known) return;
    return wait("bootstrap", `${missed}, and nothing is bought: ${hindrance.message}`);
  }
  const first = nextGenOf(state, plan);
  let gen = first;
  for (const slot of named ?? freeSlots(live, Math.min(missing, ADMIT_MAX))) {
    if (gen - first >= ADMIT_MAX) break;
    const node = nodeIdOf(fleet.fleetId, pool.name, slot, gen) as NodeId;
    if (fleet.nodes.has(node)) {
      // Its agent reported before the cloud listed it: it exists, and nothing is bought.
      return wait("provider", `the agent of ${node} reports, but no list shows its machine`);
    }
    const before = lastOf(fleet.nodes.values(), pool.name, slot);
    const because =
      before === null ? `pool ${pool.name} wants ${desired} nodes` : `takes the place of ${before}`;
    const admit = { kind: "admit", node, pool: pool.name, slot, gen, replaces: before } as const;
    plan.actions.push({ ...admit, because: [because] });
    gen += 1;
  }
}

/** The first `count` slots that are not in use. */
function freeSlots(live: ReadonlySet<number>, count: number): number[] {
  const free: number[] = [];
  for (let slot = 0; free.length < count; slot++) if (!live.has(slot)) free.push(slot);
  return free;
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

/** The pool's providers that deliver no machines, with the reason. */
function impairmentsOf(pool: PoolConfig, sight: Sight): string[] {
  return pool.providers.flatMap(({ name }) => {
    const provider = sight.providers.get(name);
    const why = impairmentOf(provider);
    if (why === null) return [];
    const what = provider?.unavailable === null ? "" : "nothing can be bought there: ";
    return [`provider ${name}: ${what}${why}`];
  });
}

/** The node that last left this slot by its own failure; the new node concludes its session. */
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
