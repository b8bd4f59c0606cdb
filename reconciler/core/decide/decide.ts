/**
 * Makes the plan: (fleet, configuration, sight) → actions and waits. Pure: no clock, no randomness,
 * no I/O. Every node gets one answer: an action, or a wait with its reason (law 6). Nodes with the
 * worst evidence come first, because all spend from one budget.
 */
import type { Config, PoolConfig } from "../../../schema/config.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Node, PoolState } from "../../../schema/node.ts";
import type { Plan } from "../plan.ts";
import { wantsDemand } from "../scaling/demand.ts";
import { countsIn, desiredOf, type Fleet, type Sight, type Timing, timingOf } from "../fleet.ts";
import { type Budgets, openBudgets } from "../safety/budget.ts";
import { isPowered, suspendedNodes } from "../slurm/power-save.ts";
import { vacantSlots } from "../safety/in-flight.ts";
import { openSpendBudget, type SpendBudget } from "../safety/spend.ts";
import { askingOf } from "./buy.ts";
import { type Budget, isMuted, isOut, openBudget } from "./budget.ts";
import { decideNode } from "./node.ts";
import { decidePool } from "./pool.ts";
import { candidatesOf } from "../scaling/candidate.ts";
import { openSweep, type Sweep } from "./sweep.ts";

/** The context of the nodes of one pool. */
export type Scope = {
  fleet: Fleet;
  sight: Sight;
  timing: Timing;
  /** `null`: not (or no longer) configured, or the node belongs to no pool. */
  pool: PoolConfig | null;
  desired: number;
  budget: Budget | null;
  /** For cordoning nodes that are only silent. */
  silence: Budget | null;
  /** How many nodes each scope around the node may still lose, and what it may spend. */
  budgets: Budgets;
  spendBudget: SpendBudget;
  /** Whether bursts are slowed down (`safety.breaker.enabled`). */
  breaks: boolean;
  /**
   * Guard keys (`safety/guard.ts`) with a node on its way up or bought by this plan; `null` until
   * first used.
   */
  trying: Set<string> | null;
  /** Scopes of places with a purchase that is not answered yet, of all pools. */
  asking: Set<string>;
  /** Nodes and open purchases of this pool by place; `null` until first used. */
  held: Map<string, number> | null;
  sweep: Sweep;
  /** Hourly cost of each offer, computed on demand. */
  prices: Map<string, number | null>;
  /** Nodes of this pool by slot, without those that are gone. */
  bySlot: ReadonlyMap<number, readonly Node[]>;
  /** Nodes of this pool that its size no longer needs. */
  candidates: ReadonlySet<NodeId>;
};

export function decide(fleet: Fleet, config: Config, sight: Sight): Plan {
  const plan: Plan = { actions: [], waits: [] };
  const shared = {
    fleet,
    sight,
    timing: timingOf(config),
    budgets: openBudgets(fleet, config, sight.now),
    spendBudget: openSpendBudget(fleet, config, sight.now),
    breaks: config.safety.breaker.enabled,
    sweep: openSweep(fleet.nodes.values(), sight.now),
    prices: new Map<string, number | null>(),
    asking: askingOf(fleet),
  };
  const all = [...fleet.nodes.values()];
  const gone = Map.groupBy(all.filter(isGone), ({ pool }) => pool as string | null);
  const byPool = Map.groupBy(
    all.filter((node) => !isGone(node)),
    ({ pool }) => pool as string | null,
  );
  const configured = new Map(config.pools.map((pool) => [pool.name as string, pool]));
  for (const name of configured.keys()) if (!byPool.has(name)) byPool.set(name, []);
  for (const [name, nodes] of byPool) {
    const pool = name === null ? null : (configured.get(name) ?? null);
    const own = pool === null ? NO_POOL : scopeOf(pool, nodes, gone.get(name) ?? [], shared);
    const lazy = { trying: null, held: null, bySlot: slotsOf(nodes) };
    const scope: Scope = { ...shared, ...own, ...lazy };
    for (const node of worstFirst(nodes)) decideNode(node, scope, plan);
    if (pool !== null)
      decidePool(
        nodes.filter((node) => countsIn(node, pool)),
        scope,
        pool,
        plan,
      );
  }
  return plan;
}

const isGone = ({ phase }: Node): boolean => phase.kind === "gone";

type PoolPart = Pick<Scope, "pool" | "desired" | "budget" | "silence" | "candidates">;

const NO_POOL: PoolPart = {
  pool: null,
  desired: 0,
  budget: null,
  silence: null,
  candidates: new Set(),
};

function scopeOf(
  pool: PoolConfig,
  nodes: Node[],
  gone: Node[],
  { fleet: { pools, operations }, sight, timing }: Pick<Scope, "fleet" | "sight" | "timing">,
): PoolPart {
  const state = pools.get(pool.name);
  const desired = desiredOf(pool, state);
  const counted = nodes.filter((node) => countsIn(node, pool));
  // Nodes that the wanted size does not count can be out of service all the same.
  const size = { desired, places: desired + nodes.length - counted.length };
  const vacant = (): Node[] => vacantSlots([...gone, ...nodes], () => desired);
  return {
    pool,
    desired,
    budget: openBudget(pool, size, nodes, isOut, vacant),
    silence: openBudget(pool, size, nodes, isMuted),
    candidates: isPowered(pool)
      ? suspendedNodes(pool, state, counted)
      : candidatesOf(counted, desired, sight, {
          sparesBusy: isSizedByQueue(pool, state),
          wantedAt: state?.desiredAt ?? 0,
          dearestFirst: pool.strategy === "cost",
          // The configured minimum alone releases no owned and no unmanaged machine.
          takesUnbought: (state?.desiredBy ?? "config") !== "config",
          sparesComing: state?.desiredBy === "autoscaler" ? comingIn(pool, timing) : null,
          sparesKept: state?.desiredBy === "autoscaler",
          marking: markingIn(counted, operations),
        }),
  };
}

/** Nodes whose cordon for a smaller pool was begun and is not known to have been written. */
function markingIn(nodes: readonly Node[], operations: Fleet["operations"]): Set<NodeId> {
  const marking = nodes.filter(({ operation }) => {
    const payload = operation === null ? undefined : operations.get(operation)?.payload;
    return payload?.kind === "cordon" && payload.cause === "scale_down";
  });
  return new Set(marking.map(({ id }) => id));
}

function comingIn({ scaling }: PoolConfig, timing: Timing): { max: number; verifyMs: number } {
  const verifyMs = Math.max(timing.registrationTimeoutMs, timing.clusterReadyTimeoutMs);
  return { max: scaling.maxNodes, verifyMs };
}

/** Such a size takes idle nodes only: the queue's depth does not show where a job runs. */
function isSizedByQueue(pool: PoolConfig, state: PoolState | undefined): boolean {
  return state?.desiredBy === "autoscaler" && wantsDemand(pool.scaling.autoscaler);
}

function slotsOf(nodes: readonly Node[]): Map<number, Node[]> {
  const bySlot = Map.groupBy(nodes, ({ slot }) => slot ?? NO_SLOT);
  bySlot.delete(NO_SLOT);
  return bySlot;
}

const NO_SLOT = -1;

/** Definitive evidence first, then the oldest session, so that no node waits for ever. */
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

/** Whether the node may spend from the budget now; only for these the order matters. */
function maySpend({ session, instance }: Node): boolean {
  if (session !== null) return true;
  return instance !== null && (instance.state !== "running" || instance.absentSince !== null);
}
