/**
 * Decides how many nodes a pool gets. Pure. `min_nodes` is a floor that needs no autoscaler. Nodes
 * that the pool owns or is buying count, registered or not. A slot is filled from the moment its
 * node is decided until the node is gone.
 */
import type { PoolConfig } from "../../../schema/config.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { Plan } from "../plan.ts";
import type { WaitReason } from "../../../schema/plan.ts";
import { isUnbought, type Sight } from "../fleet.ts";
import { fills } from "../scaling/candidate.ts";
import { isPowered, wantedSlots } from "../slurm/power-save.ts";
import { impairmentOf } from "../safety/impaired.ts";
import { strandedIn } from "../reach.ts";
import { frozen, heldPool } from "./admit.ts";
import { strangerVeto } from "../stranger.ts";
import { hindranceOf } from "./bootstrap.ts";
import type { Scope } from "./decide.ts";
import { nodeIdOf } from "./offer.ts";
import { nextGenOf } from "./repair.ts";
import { endRefused } from "./leave.ts";
import type { Cause } from "../say/cause.ts";
import type { WaitCause } from "../say/wait.ts";

/** Nodes admitted by one plan for one pool: a large pool grows in steps. */
const ADMIT_MAX = 50;

export function decidePool(nodes: Node[], scope: Scope, pool: PoolConfig, plan: Plan): void {
  const { fleet, sight, desired } = scope;
  const state = fleet.pools.get(pool.name);
  if (state === undefined) return;
  const wait = (reason: WaitReason, why: WaitCause, until: number | null = null): void =>
    void plan.waits.push({ node: null, pool: pool.name, reason, why, until });
  // Reported even while nothing is missing: nothing could be replaced.
  const hindrance = hindranceOf(pool, sight);
  if (hindrance?.known === true) {
    wait("bootstrap", { code: "cannot_set_up", why: hindrance.why });
  }
  const impairments = impairmentsOf(pool, sight);
  for (const why of impairments) wait("provider", why);
  const here = new Map(nodes.map((node) => [node.id, node]));
  const { operations } = fleet;
  for (const lost of strandedIn({ nodes: here, operations }, sight.providers)) {
    wait("provider", { code: "stranded_nodes", why: lost.why, nodes: lost.nodes.length });
  }
  for (const node of nodes) {
    const refused = endRefused(node);
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
  if (paused !== null) return wait(paused.reason, paused.why, paused.until);
  if (pool.providers.length === 0) {
    return wait("provider", { code: "no_provider_named", missing });
  }
  const providers = pool.providers.map((ref) => sight.providers.get(ref.name));
  if (!providers.some((provider) => provider?.listed)) {
    if (impairments.length === providers.length) return;
    const said = providers.map((provider) => provider?.unavailable ?? null);
    return wait("provider", { code: "nothing_listed", missing, said });
  }
  if (hindrance?.total === true) {
    if (hindrance.known) return;
    return wait("bootstrap", { code: "missing_unset", missing, why: hindrance.why });
  }
  const first = nextGenOf(state, plan);
  let gen = first;
  for (const slot of named ?? freeSlots(live, Math.min(missing, ADMIT_MAX))) {
    if (gen - first >= ADMIT_MAX) break;
    const node = nodeIdOf(fleet.fleetId, pool.name, slot, gen) as NodeId;
    if (fleet.nodes.has(node)) {
      // Its agent reported before the cloud listed it: it exists, and nothing is bought.
      return wait("provider", { code: "machine_unlisted", node });
    }
    const before = lastOf(fleet.nodes.values(), pool.name, slot);
    const because: Cause =
      before === null
        ? { code: "pool_wants", pool: pool.name, wanted: desired }
        : { code: "place_of", node: before };
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
function impairmentsOf(pool: PoolConfig, sight: Sight): WaitCause[] {
  return pool.providers.flatMap(({ name }) => {
    const provider = sight.providers.get(name);
    const said = impairmentOf(provider);
    const isUnavailable = provider?.unavailable !== null;
    return said === null ? [] : [{ code: "impaired", provider: name, isUnavailable, said }];
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
