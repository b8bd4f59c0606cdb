/**
 * Tells from the fleet what a scheduler's objects shall show (`kubernetes/desired-state.ts`). Pure.
 */
import { factsOf } from "../../../schema/safety.ts";
import type { Config, PoolConfig } from "../../../schema/config.ts";
import type { NodeId, PoolName } from "../../../schema/id.ts";
import type { KubeFact, Node } from "../../../schema/node.ts";
import type { Wait } from "../plan.ts";
import { pausedBy } from "./admit.ts";
import { darkness, refusalOf } from "./kube.ts";
import { keptBy } from "../kubernetes/hold.ts";
import { endsAtDeadline } from "./leave.ts";
import { type Fleet, type Sight, verdictOfAgent, verdictOfNode } from "../fleet.ts";
import { isSuppressed } from "../fold/suppression.ts";
import { lossOfNode } from "../safety/cluster-loss.ts";
import type { DesiredDrain } from "../kubernetes/desired-drain.ts";
import type { DesiredState, ShownNode, ShownWait } from "../kubernetes/desired-state.ts";
import type { Taint } from "../kubernetes/object.ts";
import { sayCause } from "../say/cause.ts";
import { sayWait } from "../say/wait.ts";

const BECAUSE_CHARS_MAX = 800;
const WHY_CHARS_MAX = 300;

export function desiredStateOf(
  fleet: Fleet,
  config: Config,
  sight: Sight,
  waits: readonly Wait[] = [],
): DesiredState {
  const waitOf = new Map(waits.map((wait) => [wait.node, wait]));
  const lists = { drains: [], shown: [], ended: [], orphaned: [], leaving: [] };
  const desired: DesiredState = { fleet: fleet.fleetId, ...lists };
  for (const { node, pool, name, uid } of factsOf(fleet.facts, "leaving")) {
    desired.leaving.push({ node: node as NodeId, pool: pool as PoolName | null, name, uid });
  }
  const pools = new Map(config.pools.map((pool) => [pool.name, pool]));
  for (const node of fleet.nodes.values()) {
    const { kube } = node;
    if (kube === null) continue;
    const pool = node.pool === null ? null : (pools.get(node.pool) ?? null);
    const isOrphaned = kube.absentSince !== null;
    if (node.phase.kind === "gone") {
      const { name, uid } = kube;
      if (!isOrphaned) desired.ended.push({ node: node.id, pool: node.pool, name, uid });
      continue;
    }
    if (isOrphaned) desired.orphaned.push({ node: node.id, name: kube.name });
    else {
      const wait = saidOf(waitOf.get(node.id));
      desired.shown.push(shownOf(node, pool, kube, fleet, sight.now, wait));
    }
    const drain = drainOf(node, pool, fleet, sight);
    if (drain !== null) desired.drains.push(drain);
  }
  return desired;
}

const shownBefore = new WeakMap<Node, { shown: ShownNode; pool: PoolConfig | null }>();

/**
 * Neither a node's document nor a pool's configuration is changed in place, so results can be
 * cached by them.
 */
function shownOf(
  node: Node,
  pool: PoolConfig | null,
  kube: KubeFact,
  fleet: Fleet,
  now: number,
  wait: ShownWait | null,
): ShownNode {
  const known = shownBefore.get(node);
  const refused = refusalOf(kube, now) !== null;
  if (known?.pool === pool && known.shown.refused === refused) {
    if (isSameWait(known.shown.wait, wait)) return known.shown;
  }
  const open = node.operation === null ? undefined : fleet.operations.get(node.operation);
  const because = node.health.held.map(({ judgement }) => judgement.because);
  if (node.health.silentSince !== null) because.push("its heartbeats stopped");
  const shown: ShownNode = {
    node: node.id,
    pool: node.pool,
    name: kube.name,
    uid: kube.uid,
    // `GPUHealthy` tells of GPUs: a kubelet that is silent is shown by `Ready`.
    verdict: verdictOfAgent(node),
    phase: node.phase.kind,
    because: because.join("; ").slice(0, BECAUSE_CHARS_MAX),
    session: node.session?.id ?? null,
    cordoned: node.cordon.product !== null || node.cordon.human !== null,
    draining: node.phase.kind === "draining",
    labels: pool?.labels ?? {},
    taints: taintsOf(pool),
    formerNames: (kube.former ?? []).map(({ name }) => name),
    bought: node.instance !== null,
    marking: open?.payload.kind === "cordon" || open?.payload.kind === "uncordon",
    wait,
    busy: node.operation !== null,
    refused,
    onHold: kube.hold,
    cutsOff: node.phase.kind === "draining" && endsAtDeadline(node, pool),
    calledOff:
      node.phase.kind === "serving" && verdictOfNode(node) === "unhealthy" && isSuppressed(node),
  };
  shownBefore.set(node, { shown, pool });
  return shown;
}

const saidOf = (wait: Wait | undefined): ShownWait | null =>
  wait === undefined
    ? null
    : { reason: wait.reason, message: sayWait(wait.why), until: wait.until };

const taintsOf = (pool: PoolConfig | null): Taint[] =>
  (pool?.taints ?? []).map((taint) => ({ ...taint, value: taint.value || null }));

function isSameWait(a: ShownWait | null, b: ShownWait | null): boolean {
  if (a === null || b === null) return a === b;
  return a.reason === b.reason && a.message === b.message && a.until === b.until;
}

function drainOf(
  node: Node,
  pool: PoolConfig | null,
  fleet: Fleet,
  sight: Sight,
): DesiredDrain | null {
  const { phase, kube } = node;
  if (phase.kind !== "draining" || phase.drainedAt !== null || kube === null) return null;
  const drain = pool?.drain ?? null;
  return {
    node: node.id,
    pool: node.pool,
    name: kube.name,
    uid: kube.uid,
    why: whyOf(node),
    since: phase.since,
    deadlineAt: phase.deadlineAt,
    gracePeriodMs: drain?.gracePeriodMs ?? -1,
    force: (drain?.force ?? false) || node.order?.force === true,
    ignoreDaemonsets: drain?.ignoreDaemonsets ?? true,
    deleteEmptydirData: drain?.deleteEmptydirData ?? true,
    mode: drain?.mode ?? "evict",
    deleteAtDeadline: endsAtDeadline(node, pool),
    ordered: node.order !== null,
    unreachable: node.health.silentSince !== null,
    paused: pauseOf(node, pool, fleet, sight),
  };
}

/** The reason that owners of its pods see. */
function whyOf(node: Node): string {
  const { order, health } = node;
  if (order !== null) return `ordered by ${order.by}${order.why === "" ? "" : ` (${order.why})`}`;
  const held = health.held.map(({ judgement }) => judgement.because);
  if (health.silentSince !== null) held.push("its agent's heartbeats stopped");
  const loss = lossOfNode(node);
  if (loss !== null) held.push(sayCause(loss));
  return held.join("; ").slice(0, WHY_CHARS_MAX);
}

/** Why no pod of the started drain may be evicted now; `null` = eviction may proceed. */
function pauseOf(node: Node, pool: PoolConfig | null, fleet: Fleet, sight: Sight): string | null {
  if (node.kube !== null && node.kube.absentSince !== null) {
    // The name may belong to another machine now; the cluster removes the pods.
    return `Node ${node.kube.name} is no longer in the cluster`;
  }
  const { kube } = node;
  if (kube !== null && kube.isolatedUid !== kube.uid && sight.kube?.mirrorsCordon !== false) {
    return `Node ${kube.name} is not marked unschedulable yet`;
  }
  const paused = pausedBy(node, { sight, fleet, pool });
  if (paused !== null) return sayWait(paused.why);
  const forced = node.order?.force === true;
  if (sight.blind.length > 0 && !forced) return sight.blind.join("; ");
  // A person's order overrides a person's hold.
  const kept = node.order === null ? keptBy(node, { sight }) : null;
  const why = kept ?? darkness(node, { sight, pool, bySlot: new Map() });
  return why === null ? null : sayWait(why);
}
