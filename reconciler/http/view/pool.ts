/** Pools as the HTTP API and the metrics count them. Pure. */
import type { PoolStatusView, PoolView } from "../../../schema/api.ts";
import type { PoolCostView } from "../../../schema/cost-view.ts";
import type { PoolConfig } from "../../../schema/config.ts";
import type { Node, PoolState } from "../../../schema/node.ts";
import type { Plan } from "../../core/plan.ts";
import type { WaitReason } from "../../../schema/plan.ts";
import type { Fact } from "../../../schema/safety.ts";
import type { ScalingView } from "./scaling.ts";
import { countsIn, desiredOf, isUnbought, verdictOfNode, type Sight } from "../../core/fleet.ts";
import { noticeOf } from "../../core/fold/notice.ts";
import { announced } from "../../core/fold/trouble.ts";
import { missingNodeOf, notReadyNodeOf } from "../../core/safety/missing-node.ts";
import { holds, offersOf } from "../../core/decide/offer.ts";
import { fills } from "../../core/scaling/candidate.ts";
import { sharedIn } from "../../core/reach.ts";
import { restsOf, sayScope } from "../../core/safety/rest.ts";
import { frozenBy } from "../../core/safety/step.ts";
import { someNames } from "./held-back.ts";
import { iso, isoOrNull } from "./node.ts";
import { type PlaceView, viewPlaces } from "./place.ts";
import { breakersAround, holdOf, suspectsOf } from "./safety.ts";
import { sayNotice } from "../../core/say/cause.ts";
import { sayWait, type WaitCause } from "../../core/say/wait.ts";

export type PoolCount = {
  /** Registered and not yet terminated: the guide's `navarch_nodes_total`. */
  total: number;
  /** Healthy or degraded; `healthy + unhealthy = total` always. */
  healthy: number;
  unhealthy: number;
  cordoned: number;
  serving: number;
  provisioning: number;
  draining: number;
  /** Every node that is not gone. */
  live: number;
};

export function countPool(nodes: Iterable<Node>): PoolCount {
  const count: PoolCount = {
    total: 0,
    healthy: 0,
    unhealthy: 0,
    cordoned: 0,
    serving: 0,
    provisioning: 0,
    draining: 0,
    live: 0,
  };
  for (const node of nodes) {
    const kind = node.phase.kind;
    if (kind === "gone") continue;
    count.live++;
    if (
      kind === "requested" ||
      kind === "booting" ||
      kind === "bootstrapping" ||
      kind === "verifying"
    ) {
      count.provisioning++;
      continue;
    }
    if (kind === "terminating") continue;
    count.total++;
    if (verdictOfNode(node) === "unhealthy") count.unhealthy++;
    else count.healthy++;
    if (node.cordon.product !== null || node.cordon.human !== null) count.cordoned++;
    if (kind === "serving") count.serving++;
    if (kind === "draining") count.draining++;
  }
  return count;
}

/** Reasons for which a node waits that say something of its pool. */
/** Their sentences begin with their kind of wait, `provider`. */
const NAMES_ITS_PROVIDER: ReadonlySet<WaitCause["code"]> = new Set(["impaired", "stranded_nodes"]);
const TOLD_OF_POOL: ReadonlySet<WaitReason> = new Set(["spend", "late_boot"]);

/** What blocks the pool: its own waits, not those of single nodes, and places that rest. */
export function conditionsOf(
  pool: PoolConfig,
  from: { facts: ReadonlyMap<string, Fact>; plan: Plan; now: number; providers: Providers },
): string[] {
  const { facts, plan, now, providers } = from;
  const waits = plan.waits
    // A ceiling stops the pool, although each missing node waits for itself.
    .filter(({ pool: name, node, reason }) => {
      return name === pool.name && (node === null || TOLD_OF_POOL.has(reason));
    })
    .map(({ reason, why }) => {
      return NAMES_ITS_PROVIDER.has(why.code) ? sayWait(why) : `${reason}: ${sayWait(why)}`;
    });
  const shares = sharedIn(providers ?? new Map());
  const shared = pool.providers.flatMap(({ name }) => shares.get(name) ?? []);
  const resting = offersOf(pool).flatMap((offer) => {
    const seen = providers?.get(offer.provider)?.offers?.get(offer.key) ?? null;
    return restsOf(facts, offer)
      .filter((rest) => holds(rest, seen?.availableSince ?? null, now))
      .map(({ scope, notBefore, class: cls, message }) => {
        const until = `${iso(Math.ceil(notBefore / 1_000) * 1_000).slice(0, 19)}Z`;
        return `nothing is bought at ${sayScope(scope)} until ${until} (${cls}: ${message})`;
      });
  });
  return [...new Set([...waits, ...resting, ...shared])];
}

export function viewPool(
  pool: PoolConfig,
  state: PoolState | undefined,
  nodes: Node[],
  from: {
    plan: Plan;
    now: number;
    scaling: ScalingView;
    facts: ReadonlyMap<string, Fact>;
    providers: Providers;
  },
): PoolView {
  const count = countPool(nodes.filter((node) => countsIn(node, pool)));
  return {
    name: pool.name,
    desired: desiredOf(pool, state),
    nodes: count.live,
    ready: count.serving,
    min: pool.scaling.minNodes,
    max: pool.scaling.maxNodes,
    providers: pool.providers.map((ref) => ref.name),
    strategy: pool.strategy,
    conditions: allConditions(pool, nodes, from),
  };
}

/** What blocks the pool, and what is wrong with its nodes together. */
function allConditions(
  pool: PoolConfig,
  nodes: Node[],
  from: Parameters<typeof conditionsOf>[1] & { scaling: ScalingView },
): string[] {
  return [
    ...conditionsOf(pool, from),
    ...from.scaling.conditions,
    ...sayBrokenPlaces(pool, nodes),
    ...sayMissingNodes(nodes),
    ...sayNotReadyNodes(nodes),
    ...sayNotices(nodes, from.now),
  ];
}

/** Adopted machines count towards the size until a person forgets them, however broken. */
export function sayBrokenPlaces(pool: PoolConfig, nodes: readonly Node[]): string[] {
  if (!pool.adopt || pool.providers.length === 0) return [];
  const broken = nodes.filter((node) => {
    return isUnbought(node) && fills(node) && verdictOfNode(node) === "unhealthy";
  });
  const [first] = broken;
  if (first === undefined) return [];
  if (broken.length === 1) {
    const them = "repair it, or `navarch forget` it once it is gone";
    return [`${first.id} is unhealthy and fills a place, and nothing is bought for it: ${them}`];
  }
  const names = someNames(broken.map(({ id }) => id));
  return [
    `${broken.length} machines that were not bought (${names}) are unhealthy and fill places, ` +
      "and nothing is bought for them: repair them, or `navarch forget` those that are gone",
  ];
}

/** Interruptions that the clouds have announced. */
function sayNotices(nodes: Node[], now: number): string[] {
  return nodes.flatMap((node) => {
    const notice = noticeOf(node, now);
    if (notice === null || node.phase.kind === "gone") return [];
    const by = node.instance?.provider;
    return [`${node.id}: ${sayNotice(announced(by, notice))}`];
  });
}

/** Nodes without a Node object count towards the size, so nothing is bought in their place. */
function sayMissingNodes(nodes: Node[]): string[] {
  const count = nodes.filter((node) => missingNodeOf(node) !== null).length;
  if (count === 0) return [];
  const are = count === 1 ? "1 node has" : `${count} nodes have`;
  return [`${are} no Node object in Kubernetes and can take no pods: navarch doctor kubernetes`];
}

/** They count as serving too. */
function sayNotReadyNodes(nodes: Node[]): string[] {
  const count = nodes.filter((node) => notReadyNodeOf(node) !== null).length;
  if (count === 0) return [];
  const are = count === 1 ? "1 node is" : `${count} nodes are`;
  return [`${are} not Ready in Kubernetes beside a live agent: navarch doctor kubernetes`];
}

/** `null` = not observed yet. */
type Providers = Sight["providers"] | null;

/** Why the pool cannot grow within its bounds: no provider can supply a machine. */
function growthBarOf(pool: PoolConfig, providers: Providers): string | null {
  const why: string[] = [];
  for (const { name } of pool.providers) {
    const unavailable = providers?.get(name)?.unavailable ?? null;
    if (unavailable === null) return null;
    why.push(`${name}: ${unavailable}`);
  }
  return why.length === 0 ? null : [...new Set(why)].join("; ");
}

/** Waits that let the pool buy nothing, or less than it wants. */
const STOPS_GROWTH: ReadonlySet<WaitReason> = new Set([
  "other_fleet",
  "spend",
  "bootstrap_guard",
] as const);

/** What holds growth back: a person, machines of another fleet, a ceiling or the boot guard. */
function heldBy(
  { name }: PoolConfig,
  state: PoolState | undefined,
  from: { plan: Plan; facts: ReadonlyMap<string, Fact>; now: number },
): string | null {
  const frozen = frozenBy(from.facts, from.now);
  if (frozen !== null) return `the fleet is frozen: ${frozen}`;
  const hold = holdOf(state, from.now);
  if (hold !== null) return `held: ${hold.why} (${hold.by})`;
  const { waits } = from.plan;
  const stop = waits.find((one) => one.pool === name && STOPS_GROWTH.has(one.reason));
  return stop === undefined ? null : sayWait(stop.why);
}

/** `cannot_scale_up`: the reason, where the bounds would allow growth. */
export type StatusView = PoolStatusView &
  Pick<ScalingView, "cooldown_remaining_s" | "decision" | "queue"> & {
    cannot_scale_up: string | null;
    places: PlaceView[];
    /** Of `total_nodes`, those that this fleet did not buy. */
    unmanaged_nodes: number;
  };

export function viewPoolStatus(
  pool: PoolConfig,
  state: PoolState | undefined,
  nodes: Node[],
  from: {
    plan: Plan;
    now: number;
    utilization: number | null;
    scaling: ScalingView;
    facts: ReadonlyMap<string, Fact>;
    providers: Providers;
    cost: Omit<PoolCostView, "month_max">;
  },
): StatusView {
  const count = countPool(nodes);
  const desired = desiredOf(pool, state);
  const roomy = desired < pool.scaling.maxNodes;
  const bar = roomy ? (heldBy(pool, state, from) ?? growthBarOf(pool, from.providers)) : null;
  return {
    name: pool.name,
    total_nodes: count.total,
    healthy_nodes: count.healthy,
    unhealthy_nodes: count.unhealthy,
    cordoned_nodes: count.cordoned,
    unmanaged_nodes: countPool(nodes.filter(isUnbought)).total,
    can_scale_up: roomy && bar === null,
    cannot_scale_up: bar,
    can_scale_down: desired > pool.scaling.minNodes,
    desired,
    provisioning: count.provisioning,
    draining: count.draining,
    min_nodes: pool.scaling.minNodes,
    max_nodes: pool.scaling.maxNodes,
    utilization: from.utilization,
    pending_jobs: from.scaling.pending_jobs,
    queue_depth: from.scaling.queue_depth,
    queue: from.scaling.queue,
    decision: from.scaling.decision,
    cooldown_remaining_s: from.scaling.cooldown_remaining_s,
    last_scale_at:
      state === undefined || state.desiredBy === "config" ? null : isoOrNull(state.desiredAt),
    hold: holdOf(state, from.now),
    breakers: breakersAround(pool.name, nodes, from.facts),
    suspects: suspectsOf(pool, state, from.now),
    places: viewPlaces(pool, nodes, from),
    conditions: allConditions(pool, nodes, from),
    cost: { ...from.cost, month_max: pool.spend.perMonthMax },
  };
}
