/** AgentPools and claims, for people and programs. Pure. */
import type { SlotClaim } from "../../../schema/agentpool.ts";
import type {
  AgentPoolSummary,
  AgentPoolView,
  AgentPoolWorkerView,
  ClaimView,
  NodeWorkerView,
  RestPool,
  RestPoolStatus,
} from "../../../schema/agentpool-view.ts";
import type { Node } from "../../../schema/node.ts";
import type { Condition } from "../../core/agentpool/model.ts";
import type { AgentPools, ClaimAnswer, PoolView } from "../../core/agentpool/service.ts";
import type { Refused, WorkerView } from "../../core/agentpool/service.ts";
import { iso } from "./node.ts";

/** Conditions that keep a pool from growing while they are true, the gravest first. */
const BLOCKING = ["InvalidTemplate", "Draining", "Gated", "ScaleUpBlocked", "AtMax"] as const;

const isoOrNull = (at: number | null): string | null => (at === null ? null : iso(at));

function blocking({ status }: PoolView): Condition[] {
  return BLOCKING.flatMap((type) => {
    return status.conditions.filter((one) => one.type === type && one.status === "True");
  });
}

/** Why the pool does not grow; empty if nothing keeps it from growing. */
export function blockersOf(view: PoolView): string[] {
  const { pool, status } = view;
  const own = pool.problems.map((problem) => `InvalidTemplate: ${problem}`);
  const conditions = blocking(view)
    .filter(({ type }) => type !== "InvalidTemplate" || own.length === 0)
    .map(sayCondition);
  const fixed = pool.scaler === null ? ["static: spec.autoscaler is absent, none is created"] : [];
  const ready = status.conditions.find(({ type }) => type === "Ready");
  const isOnlyUnready = own.length === 0 && conditions.length === 0 && ready?.status === "False";
  const unready = isOnlyUnready ? [sayCondition({ ...ready, type: "Ready" })] : [];
  return [...own, ...conditions, ...fixed, ...unready];
}

function sayCondition({ type, reason, message }: Condition): string {
  const what = type === "Ready" ? "not ready" : type;
  return `${what}${reason === type ? "" : ` (${reason})`}: ${message}`;
}

export function summarize(view: PoolView): AgentPoolSummary {
  const { pool, status } = view;
  const [first] = blocking(view);
  const reason = first === undefined ? null : first.type;
  return {
    namespace: pool.namespace,
    name: pool.name,
    min: pool.scaler?.min ?? null,
    max: pool.scaler?.max ?? null,
    size: status.size,
    idle: status.idleSlots,
    queued: status.queuedClaims,
    workers: { ...status.workers },
    reason: pool.problems.length > 0 ? "InvalidTemplate" : reason,
  };
}

export function viewAgentPool(view: PoolView): AgentPoolView {
  const { pool, status } = view;
  const { scaler } = pool;
  const error = status.lastAllocationError;
  return {
    ...summarize(view),
    uid: pool.uid,
    generation: pool.generation,
    deleting: pool.isDeleting,
    autoscaler:
      scaler === null
        ? null
        : {
            min_replicas: scaler.min,
            max_replicas: scaler.max,
            min_idle: scaler.minIdle,
            max_idle: scaler.maxIdle,
            effective_max_idle: status.effectiveMaxIdle,
            idle_decay_ms: scaler.decayMs,
            kill_unknown_after_ms: scaler.killUnknownMs,
            slots_per_agent: scaler.slots,
          },
    last_allocation_error: error === null ? null : { ...error, at: iso(error.at) },
    conditions: status.conditions.map((one) => ({ ...one })),
    blockers: blockersOf(view),
    worker_list: view.workers.map(viewWorker),
    claims: viewClaims(view),
  };
}

export function viewWorker({ worker, state, claims, slots }: WorkerView): AgentPoolWorkerView {
  const { leaving } = worker;
  return {
    name: worker.name,
    state,
    node_id: worker.node,
    claims,
    slots,
    generation: worker.generation,
    created_at: iso(worker.at),
    joined_at: isoOrNull(worker.joinedAt),
    lost_since: isoOrNull(worker.lostSince),
    leaving:
      leaving === null
        ? null
        : {
            cause: leaving.cause,
            since: iso(leaving.since),
            deleting: leaving.deletingAt !== null,
          },
  };
}

/** The worker of a node; `null` = the node is none. */
export function viewWorkerOf(
  { id, worker: fact }: Pick<Node, "id" | "worker">,
  agentPools: Pick<AgentPools, "pool" | "workerOf">,
): NodeWorkerView | null {
  if (fact === null) return null;
  const row = agentPools.workerOf(id);
  const all = row === null ? [] : (agentPools.pool(row.pool)?.workers ?? []);
  const found = all.find(({ worker }) => worker.name === row?.name);
  return { pool: fact.pool, worker: found === undefined ? null : viewWorker(found) };
}

/** What `explain` says of it. */
export function sayWorker({ pool, worker }: NodeWorkerView): string {
  const what = `a worker pod of AgentPool ${pool}`;
  if (worker === null) return what;
  const { state, claims, slots, leaving } = worker;
  const leaves = leaving === null ? "" : `, leaving (${leaving.cause})`;
  return `${what}: ${state}, ${claims} of ${slots} slots claimed${leaves}`;
}

/** Open claims; the reason is the pool's, so it is not repeated here. */
export function viewClaims({ claims }: Pick<PoolView, "claims">): ClaimView[] {
  let queued = 0;
  return claims.map((claim) => viewClaim(claim, claim.state === "queued" ? ++queued : null));
}

export function viewAnswer(answer: Exclude<ClaimAnswer, Refused>): ClaimView {
  if (answer.kind !== "queued") return viewClaim(answer.claim);
  return viewClaim(answer.claim, answer.position, answer.because);
}

function viewClaim(
  claim: SlotClaim,
  position: number | null = null,
  because: string | null = null,
): ClaimView {
  const [namespace = "", pool = ""] = claim.pool.split("/");
  return {
    id: claim.id,
    namespace,
    pool,
    label: claim.label,
    by: claim.by,
    state: claim.state,
    worker: claim.worker,
    slot: claim.slot,
    position,
    because,
    created_at: iso(claim.at),
    placed_at: isoOrNull(claim.placedAt),
    expires_at: isoOrNull(claim.expiresAt),
    ended_at: isoOrNull(claim.endedAt),
  };
}

export function viewRestStatus({ status }: PoolView): RestPoolStatus {
  const error = status.lastAllocationError;
  if (error === null) return { lastAllocationError: "", lastAllocationErrorTime: null };
  const text = `${error.reason}: ${error.message}`;
  return { lastAllocationError: text, lastAllocationErrorTime: iso(error.at) };
}

/** Pods' pools have no description. */
export function viewRestPool(view: PoolView): RestPool {
  const { name, namespace } = view.pool;
  return { name, namespace, description: "", autoscalerStatus: viewRestStatus(view) };
}
