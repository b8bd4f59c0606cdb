/**
 * Checks a plan against the laws before anything is written: a plan that breaks one is a bug in
 * `decide`. Pure, and written from the laws, so that it can disagree with `decide`. Only the
 * actions of the breaching pool are withheld: a pool that stands still with a reason is safer than
 * a process that ends and restarts into the same plan.
 */
import { isDestructive, type Action } from "../plan.ts";
import type { Config } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import type { Payload } from "../../../schema/operation.ts";
import type { Plan } from "../plan.ts";
import { countsIn, desiredOf, type Fleet, isOwned, isUnbought, type Sight } from "../fleet.ts";
import { strandedWhy } from "../reach.ts";
import { shareOf } from "../safety/budget.ts";
import { isEvident } from "../safety/evident.ts";
import { slotKeyOf } from "../safety/scope.ts";
import { isHeldInSlurm } from "../slurm/hold.ts";
import { hasRegistered } from "../slurm/mark.ts";
import { ARRIVING } from "./buy.ts";
import { isOut } from "./budget.ts";
import { type Breach, sayBroken } from "../say/breach.ts";

/** `pool: null` = nodes of no pool. */
type Found = { pool: string | null; how: Breach };

/** Pools (`null` = nodes of none) whose plan breaks a law, with how. */
export type Broken = ReadonlyMap<string | null, string>;

/** The plan without the actions of pools that break a law. */
export function soundPart(
  fleet: Fleet,
  config: Config,
  sight: Sight,
  plan: Plan,
): { plan: Plan; broken: Broken } {
  const byPool = Map.groupBy(lintPlan(fleet, config, sight, plan), ({ pool }) => pool);
  const broken = new Map<string | null, string>();
  for (const [pool, breaches] of byPool) {
    const hows = breaches.map(({ how }) => how);
    broken.set(pool, sayBroken(pool, hows));
  }
  const actions = plan.actions.filter((action) => !broken.has(poolOf(action, fleet)));
  return { plan: { actions, waits: plan.waits }, broken };
}

function poolOf(action: Action, { nodes }: Fleet): string | null {
  return action.kind === "admit" ? action.pool : (nodes.get(action.node)?.pool ?? null);
}

/** Every law that `plan` breaks; empty = sound. */
export function lintPlan(fleet: Fleet, config: Config, sight: Sight, plan: Plan): Found[] {
  const breaches: Found[] = [];
  const acted = new Set<string>();
  const admitted = new Set<string>();
  for (const action of plan.actions) {
    const node = fleet.nodes.get(action.node);
    const pool = poolOf(action, fleet);
    const breach = (how: Breach): void => void breaches.push({ pool, how });
    if (acted.has(action.node)) breach({ code: "two_actions", node: action.node });
    acted.add(action.node);
    if (action.kind === "admit") {
      if (node !== undefined) breach({ code: "admit_known", node: action.node });
      const slot = `${action.pool}/${action.slot}`;
      if (admitted.has(slot)) breach({ code: "two_admits", pool: action.pool, slot: action.slot });
      admitted.add(slot);
      lintAdmit(fleet, plan, action, breach);
    } else if (node === undefined) {
      breach({ code: "no_node", what: action.kind, node: action.node });
    } else lintAction(node, action, fleet, sight, breach);
  }
  lintWaits(fleet, plan, acted, breaches);
  lintBudget(fleet, config, plan, breaches);
  return breaches;
}

/** Law 6: every node that is not serving is in actions or waits. */
function lintWaits(fleet: Fleet, plan: Plan, acted: ReadonlySet<string>, breaches: Found[]): void {
  const waiting = new Set(plan.waits.map((wait) => wait.node));
  for (const { id, pool, phase } of fleet.nodes.values()) {
    const { kind } = phase;
    if (kind === "gone" || kind === "serving" || acted.has(id) || waiting.has(id)) continue;
    breaches.push({ pool, how: { code: "idle", node: id, phase: kind } });
  }
}

type Say = (how: Breach) => void;

function lintAction(node: Node, action: Action, fleet: Fleet, sight: Sight, breach: Say): void {
  const open = node.operation === null ? undefined : fleet.operations.get(node.operation);
  // An action that ends the node cancels its set-up.
  const step = { what: action.kind, node: node.id };
  if (node.operation !== null && open?.payload.kind !== "bootstrap")
    breach({ code: "open", ...step, operation: node.operation });
  if (node.phase.kind === "gone") breach({ code: "gone", ...step });
  const mirror =
    action.kind === "effect" &&
    (action.payload.kind === "cordon" || action.payload.kind === "uncordon") &&
    action.payload.mirror === true;
  if (node.phase.kind === "held" && node.order === null && !mirror)
    breach({ code: "held", ...step });
  if (isDestructive(action) && sight.blind.length > 0 && !mayWhileBlind(node, action)) {
    breach({ code: "blind", ...step, why: sight.blind });
  }
  lintOrder(node, action, breach);
  if (action.kind === "effect") lintReach(node, action.payload, sight, breach);
  if (action.kind === "effect") lintSlurm(node, action.payload, sight, breach);
}

/** Nothing is ended through a provider that reaches another account or region. */
function lintReach(node: Node, { kind }: Payload, { providers }: Sight, breach: Say): void {
  if (kind !== "terminate" && kind !== "reboot") return;
  const why = strandedWhy(node, providers);
  if (why !== null) breach({ code: "unreached", what: kind, node: node.id, why });
}

/** Nothing of others is touched in Slurm, and no changed machine is released unregistered. */
function lintSlurm({ id, slurm, ...node }: Node, payload: Payload, sight: Sight, breach: Say) {
  if (payload.kind === "end_jobs" && sight.slurm?.dark !== null) {
    return breach({ code: "jobs_dark", name: payload.slurm });
  }
  if (payload.kind !== "cordon" && payload.kind !== "uncordon") return;
  if (payload.slurm === undefined) return;
  const { name } = payload.slurm;
  const write = { what: payload.kind, name };
  if (slurm?.name !== name) return breach({ code: "other_name", ...write, node: id });
  if (sight.slurm === null || sight.slurm.dark !== null) {
    breach({ code: "slurm_dark", ...write });
  }
  const lifts = payload.kind === "uncordon" ? payload.slurm.lifts : undefined;
  // What slurmctld itself said of the machine before is nobody's decision.
  const isStale = lifts !== undefined && slurm.stale === true && lifts === slurm.reason;
  if (slurm.owner === "foreign" && !isStale) {
    breach({ code: "theirs_in_slurm", ...write });
  }
  if (payload.kind === "cordon") return;
  if (slurm.owner !== "own" && !isStale) {
    breach({ code: "release_theirs", name });
  }
  if (!hasRegistered(node, slurm)) breach({ code: "release_early", name });
}

/**
 * Actions that do not depend on observations: a person's forced order, a node that is not bought, a
 * progress of a drain, an end that the cloud reports.
 */
function mayWhileBlind(node: Node, action: Action): boolean {
  if (node.order?.force === true || node.phase.kind === "requested") return true;
  if (node.instance?.state === "terminated") return true;
  return (
    action.kind === "advance" && action.to.kind === "draining" && node.phase.kind === "draining"
  );
}

function lintAdmit(
  fleet: Fleet,
  plan: Plan,
  action: Extract<Action, { kind: "admit" }>,
  breach: Say,
): void {
  for (const other of fleet.nodes.values()) {
    if (other.pool !== action.pool || other.slot !== action.slot || other.phase.kind === "gone")
      continue;
    const surge = plan.actions.some(
      (a) => a.kind === "advance" && a.node === other.id && a.to.kind === "replacing",
    );
    const { node, slot } = action;
    if (!surge) breach({ code: "admit_occupied", node, slot, by: other.id });
  }
}

/** The order of a removal, and whose cordon may be lifted (law 10). */
function lintOrder(node: Node, action: Action, breach: Say): void {
  if (action.kind === "effect") lintEffect(node, action.payload, breach);
  if (action.kind !== "advance" || action.to.kind !== "terminating") return;
  const { purpose } = action.to;
  const isEnding = node.phase.kind === "terminating" || node.instance?.state === "terminated";
  if (isHeldInSlurm(node) && node.order === null && !isEnding) {
    breach({ code: "ends_theirs", node: node.id, purpose });
  }
  const byItself = purpose === "failed" || purpose === "lemon" || purpose === "replace";
  if (isOwned(node) && byItself && node.order === null && node.phase.kind !== "terminating") {
    breach({ code: "releases_owned", node: node.id, purpose });
  }
  const { kind } = node.phase;
  const arriving = ARRIVING.includes(kind);
  const drained = node.phase.kind === "draining" && node.phase.drainedAt !== null;
  // Only the purpose of a node that ends already has changed.
  const ends = kind === "terminating";
  if (purpose === "lost" || arriving || drained || ends || node.order?.force === true) return;
  breach({ code: "ends_undrained", node: node.id, purpose });
}

const HELD_BY_OTHERS: ReadonlySet<Payload["kind"]> = new Set([
  ...(["terminate", "drain", "reboot", "end_jobs"] as const),
]);

function lintEffect(
  node: Node,
  payload: Extract<Action, { kind: "effect" }>["payload"],
  breach: Say,
): void {
  const { id } = node;
  const cordoned = node.cordon.product !== null || node.cordon.human !== null;
  const theirs = node.cordon.human !== null && node.order === null;
  if (isHeldInSlurm(node) && node.order === null && HELD_BY_OTHERS.has(payload.kind)) {
    breach({ code: "theirs_in_slurm", what: payload.kind, name: id });
  }
  switch (payload.kind) {
    case "terminate":
      if (node.phase.kind !== "terminating")
        breach({ code: "wrong_phase", node: id, phase: node.phase.kind });
      if (node.instance?.id !== payload.instanceId)
        breach({ code: "other_instance", node: id, instance: payload.instanceId });
      return;
    case "create":
      if (node.phase.kind === "requested" && node.instance === null) return;
      return breach({ code: "bought_twice", node: id, phase: node.phase.kind });
    case "uncordon":
      if (payload.mirror === true) {
        // Without a cordon even a mark that no record explains may go (`isLeftover`, `kube.ts`).
        if (cordoned) breach({ code: "mark_lifted", node: id });
        return;
      }
      if (node.cordon.product === null) breach({ code: "not_our_cordon", node: id });
      return;
    case "drain":
      if (payload.purpose === "replace" && theirs)
        breach({ code: "cordoned_by_person", what: "repair", node: id });
      if (!cordoned) breach({ code: "drain_uncordoned", node: id });
      return;
    case "reboot": {
      const ready = node.phase.kind === "draining" && node.phase.drainedAt !== null;
      if (!ready || !cordoned) breach({ code: "reboot_undrained", node: id });
      if (theirs) breach({ code: "cordoned_by_person", what: "reboot", node: id });
      return;
    }
    case "end_jobs": {
      const { slurm } = node;
      if (node.phase.kind !== "draining") breach({ code: "jobs_early", node: id });
      if (slurm?.name !== payload.slurm || slurm.owner !== "own")
        breach({ code: "jobs_theirs", name: payload.slurm });
      return;
    }
    case "cordon":
    case "bootstrap":
      return;
  }
}

/**
 * No more slots go out than the pool may lose at once; slots that are out already are no breach.
 * Bought nodes are counted by themselves, unmanaged ones with all others (`budget.ts`).
 */
function lintBudget(fleet: Fleet, config: Config, plan: Plan, breaches: Found[]): void {
  // The nodes of a smaller pool leave without a budget.
  const cordons = new Set<string>();
  for (const action of plan.actions) {
    if (action.kind !== "effect" || action.payload.kind !== "cordon") continue;
    const { mirror, cause } = action.payload;
    if (mirror !== true && cause !== "scale_down") cordons.add(action.node);
  }
  if (cordons.size === 0) return;
  for (const pool of config.pools) {
    const nodes = [...fleet.nodes.values()].filter(
      (node) => node.pool === pool.name && node.phase.kind !== "gone",
    );
    const bought = nodes.filter((node) => !isUnbought(node));
    // Nodes that the wanted size does not count exist all the same.
    const others = nodes.filter((node) => !countsIn(node, pool)).length;
    const desired = desiredOf(pool, fleet.pools.get(pool.name));
    const fresh = nodes.filter((node) => {
      const sick = node.phase.kind === "suspect" && node.health.verdict === "unhealthy";
      return sick && !isEvident(node) && cordons.has(node.id);
    });
    for (const [among, places, isOurs] of [
      [bought, desired, true],
      [nodes, desired + others, false],
    ] as const) {
      const out = new Set(among.filter(isOut).map(slotKeyOf));
      const keys = new Set(fresh.filter((one) => isUnbought(one) !== isOurs).map(slotKeyOf));
      const added = [...keys].filter((key) => !out.has(key)).length;
      const max = shareOf(pool.health.maxUnavailable, places);
      if (added === 0 || out.size + added <= max) continue;
      const { name } = pool;
      const how = { code: "over_budget", pool: name, out: out.size + added, max } as const;
      breaches.push({ pool: name, how });
    }
  }
}
