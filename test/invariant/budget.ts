/**
 * I5: at every commit, and in every scope, no more is out than the budget allows. A budget is data
 * here, {scope, rung, limit, inFlight}, so that further scopes and rungs are further entries. What
 * the world took by itself, and what a person ordered, is in flight but was not the product's to
 * refuse: only what the product adds has to fit.
 */
import type { Config, Share } from "../../schema/config.ts";
import type { Node } from "../../schema/node.ts";
import {
  type Checker,
  type Commit,
  type Observation,
  slotOf,
  type Violation,
} from "../world/observation.ts";

export type Budget = {
  scope: string;
  rung: string;
  /** How many may be in flight at this commit. */
  limit(seen: Observation): number;
  /** Whether the node is in the scope. */
  covers(node: Node): boolean;
  /** Whether its slot is in flight for this rung. */
  inFlight(node: Node): boolean;
};

export function budgets(budgetsOf: (config: Config) => Budget[] = configuredBudgets): Checker {
  let config: Config | null = null;
  let list: Budget[] = [];
  return {
    id: "I5",
    atCommit: true,
    look(seen) {
      if (seen.config !== config) {
        config = seen.config;
        list = budgetsOf(config);
      }
      return seen.commits.flatMap((commit) => judgeCommit(commit, seen, list));
    },
  };
}

function judgeCommit(commit: Commit, seen: Observation, list: Budget[]): Violation[] {
  const out: Violation[] = [];
  // A smaller pool chose them: that is no repair.
  const chosen = new Set(
    commit.change.operations
      .filter(({ payload }) => payload.kind === "cordon" && payload.cause === "scale_down")
      .map(({ node }) => node),
  );
  for (const budget of list) {
    const fresh = new Set<string>();
    for (const node of commit.change.nodes) {
      if (!budget.covers(node) || !budget.inFlight(node) || isExcused(node, seen)) continue;
      if (chosen.has(node.id)) continue;
      const before = commit.nodesBefore.get(node.id);
      if (before !== undefined && budget.inFlight(before)) continue;
      if (before !== undefined && isMarkedSuspect(before) && isMarkedSuspect(node)) continue;
      // A replacement takes over the place that its predecessor held in the budget.
      if (node.replaces !== null) continue;
      fresh.add(slotOf(node) ?? node.id);
    }
    if (fresh.size === 0) continue;
    const all = new Set<string>();
    for (const node of commit.nodes.values()) {
      if (budget.covers(node) && budget.inFlight(node)) all.add(slotOf(node) ?? node.id);
    }
    for (const node of commit.nodes.values()) if (fillsSlot(node)) all.delete(slotOf(node) ?? "");
    const limit = budget.limit(seen);
    if (all.size <= limit) continue;
    const who = [...fresh].join(", ");
    const message = `${budget.scope}, ${budget.rung}: ${all.size} in flight with ${who}, at most`;
    out.push({ id: "I5", message: `${message} ${limit}` });
  }
  return out;
}

/** A verified replacement: whatever is left of the node before it, nothing is missing there. */
function fillsSlot(node: Node): boolean {
  return node.phase.kind === "serving" && node.replaces !== null;
}

/** A person's order, and an instance that the cloud itself has ended, need no budget. */
function isExcused(node: Node, { cloud }: Observation): boolean {
  if (node.order !== null || isTheirs(node) || node.instance?.state === "terminated") return true;
  // An old copy of the database knows machines that are long gone.
  const isLost = node.phase.kind === "terminating" && node.phase.purpose === "lost";
  return isLost && node.instance !== null && !cloud.live.has(node.instance.id);
}

/** A person took it out of service, in Kubernetes or in Slurm. */
function isTheirs({ cordon, slurm }: Node): boolean {
  return cordon.human !== null || slurm?.held === true;
}

/**
 * Each pool's `max_unavailable`, all steps together; replacement by pool and fleet. Windows of
 * isolation, and domains below the fleet, are not counted yet.
 */
export function configuredBudgets(config: Config): Budget[] {
  const { replace, drain } = config.safety.budgets;
  const sizeOf = ({ name, scaling }: Config["pools"][number], { rows }: Observation): number => {
    const wanted = rows.pools.get(name)?.desired ?? scaling.minNodes;
    return Math.min(Math.max(wanted, scaling.minNodes), scaling.maxNodes);
  };
  const pools = config.pools.flatMap((pool): Budget[] => {
    const covers = (node: Node): boolean => node.pool === pool.name;
    const scope = `pool ${pool.name}`;
    const size = (seen: Observation): number => sizeOf(pool, seen);
    const limit = (seen: Observation): number => shareOf(pool.health.maxUnavailable, size(seen));
    const most = (seen: Observation): number =>
      Math.min(shareOf(replace.pool, size(seen)), shareOf(drain.pool, size(seen)));
    return [
      { scope, rung: "any", limit, covers, inFlight: isRepaired },
      { scope, rung: "replace", limit: most, covers, inFlight: isReplaced },
    ];
  });
  const limit = (seen: Observation): number => {
    const all = config.pools.reduce((sum, pool) => sum + sizeOf(pool, seen), 0);
    // Each pool may always lose one: a small fleet of several pools must not queue them all.
    const room = (share: Share): number =>
      share.kind === "nodes" ? share.nodes : Math.max(config.pools.length, shareOf(share, all));
    return Math.min(room(replace.fleet), room(drain.fleet));
  };
  const covers = (node: Node): boolean => node.pool !== null;
  return [...pools, { scope: "fleet", rung: "replace", limit, covers, inFlight: isReplaced }];
}

/** `max(1, floor(p·n))`. */
function shareOf(share: Share, desired: number): number {
  if (share.kind === "nodes") return share.nodes;
  return Math.max(1, Math.floor((share.percent * desired) / 100));
}

function isMarked(node: Node): boolean {
  return node.cordon.product !== null || node.operation?.endsWith(".cordon") === true;
}

/** Marked for its silence, it comes back with a finding: the product has taken nothing. */
function isMarkedSuspect(node: Node): boolean {
  return node.phase.kind === "suspect" && isMarked(node);
}

/** Off its bus or uncontained (XID 79, 95), or a person's: marking it takes nothing away. */
function isLost(node: Node): boolean {
  if (isTheirs(node)) return true;
  return node.health.held.some(({ finding }) => finding.code === 79 || finding.code === 95);
}

/** From the commit of its intent until it serves again or its replacement is verified. */
function isRepaired(node: Node): boolean {
  switch (node.phase.kind) {
    case "requested":
    case "booting":
    case "bootstrapping":
    case "verifying":
      return node.replaces !== null;
    case "suspect":
      if (node.cordon.product?.cause === "scale_down") return false;
      return isMarked(node) && node.health.verdict === "unhealthy" && !isLost(node);
    case "replacing":
    case "repairing":
      return true;
    case "draining":
    case "terminating":
      return node.phase.purpose === "replace" || node.phase.purpose === "lost";
    case "serving":
    case "gone":
    case "held":
      return false;
  }
}

/** From the intent to drain until the next node of the slot is verified. */
function isReplaced(node: Node): boolean {
  if (node.phase.kind !== "suspect") return isRepaired(node);
  return node.operation?.endsWith(".drain") === true;
}
