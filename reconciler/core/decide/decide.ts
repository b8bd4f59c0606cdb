/**
 * (Fleet, configuration, sight) → Plan. Pure: no clock, no randomness, no I/O. Every node is asked
 * once what should become of it; each answer is an action, or a wait with its reason (law 6). Nodes
 * are asked worst first, because they spend from one budget.
 */
import type { Config, PoolConfig } from "../../../schema/config.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { Plan } from "../../../schema/plan.ts";
import { wantsDemand } from "../scaling/demand.ts";
import { countsIn, desiredOf, type Fleet, type Sight, type Timing, timingOf } from "../fleet.ts";
import { type Budgets, openBudgets } from "../safety/budget.ts";
import { vacantSlots } from "../safety/in-flight.ts";
import { openSpendBudget, type SpendBudget } from "../safety/spend.ts";
import { type Budget, isMuted, isOut, openBudget } from "./budget.ts";
import { decideNode } from "./node.ts";
import { decidePool, candidatesOf } from "./pool.ts";
import { openSweep, type Sweep } from "./sweep.ts";

/** What a decision about one node may look at. */
export type Scope = {
  fleet: Fleet;
  sight: Sight;
  timing: Timing;
  /** `null`: the pool is not (or no longer) configured, or the node belongs to none. */
  pool: PoolConfig | null;
  desired: number;
  budget: Budget | null;
  /** For marking nodes that are only silent. */
  silence: Budget | null;
  /** What every scope around the node may still lose, and spend. */
  budgets: Budgets;
  spendBudget: SpendBudget;
  /** Whether what goes on too often is slowed down (`safety.breaker.enabled`). */
  breaks: boolean;
  /**
   * Places and set-ups of which a node is on its way up, or is asked for by this plan
   * (`safety/guard.ts`); `null` until somebody asks.
   */
  trying: Set<string> | null;
  /** Of machines that no slot wants. */
  sweep: Sweep;
  /** Hourly cost of each offer, computed on demand. */
  prices: Map<string, number | null>;
  /** Nodes of this pool by slot, those that are gone left out. */
  bySlot: ReadonlyMap<number, readonly Node[]>;
  /** Nodes of this pool that its size no longer needs. */
  candidates: ReadonlySet<NodeId>;
};

export function decide(fleet: Fleet, config: Config, sight: Sight): Plan {
  const plan: Plan = { actions: [], waits: [] };
  const timing = timingOf(config);
  const budgets = openBudgets(fleet, config, sight.now);
  const spendBudget = openSpendBudget(fleet, config);
  const prices = new Map<string, number | null>();
  const sweep = openSweep(fleet.nodes.values(), sight.now);
  const byPool = new Map<string | null, Node[]>();
  const gone = new Map<string | null, Node[]>();
  for (const node of fleet.nodes.values()) {
    if (node.phase.kind === "gone") {
      const left = gone.get(node.pool);
      if (left === undefined) gone.set(node.pool, [node]);
      else left.push(node);
      continue;
    }
    const list = byPool.get(node.pool);
    if (list === undefined) byPool.set(node.pool, [node]);
    else list.push(node);
  }
  const configured = new Map(config.pools.map((pool) => [pool.name as string, pool]));
  for (const name of configured.keys()) if (!byPool.has(name)) byPool.set(name, []);
  for (const [name, nodes] of byPool) {
    const pool = name === null ? null : (configured.get(name) ?? null);
    const desired = pool === null ? 0 : desiredOf(pool, fleet.pools.get(pool.name));
    const counted = pool === null ? [] : nodes.filter((node) => countsIn(node, pool));
    // Who is not counted in the wanted size is there all the same, and may be out of service.
    const size = { desired, places: desired + nodes.length - counted.length };
    const scope: Scope = {
      fleet,
      sight,
      timing,
      pool,
      desired,
      budget:
        pool === null
          ? null
          : openBudget(pool, size, nodes, isOut, () =>
              vacantSlots([...(gone.get(name) ?? []), ...nodes], () => desired),
            ),
      budgets,
      spendBudget,
      breaks: config.safety.breaker.enabled,
      trying: null,
      sweep,
      prices,
      silence: pool === null ? null : openBudget(pool, size, nodes, isMuted),
      bySlot: slotsOf(nodes),
      candidates:
        pool === null
          ? new Set()
          : candidatesOf(
              counted,
              desired,
              sight,
              sparesBusy(pool, fleet),
              fleet.pools.get(pool.name)?.desiredAt,
              isSized(pool, fleet),
            ),
    };
    for (const node of worstFirst(nodes)) decideNode(node, scope, plan);
    if (pool !== null) decidePool(counted, scope, pool, plan);
  }
  return plan;
}

/** The size was requested: the configured minimum alone releases no unmanaged machine. */
function isSized(pool: PoolConfig, fleet: Fleet): boolean {
  return (fleet.pools.get(pool.name)?.desiredBy ?? "config") !== "config";
}

/** A size that the queue set takes idle nodes only: where a job runs is not in its depth. */
function sparesBusy(pool: PoolConfig, fleet: Fleet): boolean {
  const state = fleet.pools.get(pool.name);
  return state?.desiredBy === "autoscaler" && wantsDemand(pool.scaling.autoscaler);
}

function slotsOf(nodes: readonly Node[]): Map<number, Node[]> {
  const bySlot = new Map<number, Node[]>();
  for (const node of nodes) {
    if (node.slot === null) continue;
    const list = bySlot.get(node.slot);
    if (list === undefined) bySlot.set(node.slot, [node]);
    else list.push(node);
  }
  return bySlot;
}

/**
 * Definitive evidence first, then the longest-open session: who waits longest must not wait for
 * ever.
 */
function worstFirst(nodes: Node[]): Node[] {
  const sick = nodes.filter(maySpend);
  sick.sort((a, b) => {
    const proof = Number(b.session?.definitive ?? false) - Number(a.session?.definitive ?? false);
    return (
      proof || (a.session?.openedAt ?? 0) - (b.session?.openedAt ?? 0) || (a.id < b.id ? -1 : 1)
    );
  });
  return [...sick, ...nodes.filter((node) => !maySpend(node))];
}

/**
 * Whether the node may spend from the budget now: those are asked in an order of their own, not of
 * storage.
 */
function maySpend(node: Node): boolean {
  if (node.session !== null) return true;
  return (
    node.instance !== null &&
    (node.instance.state !== "running" || node.instance.absentSince !== null)
  );
}
