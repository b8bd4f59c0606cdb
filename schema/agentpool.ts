/**
 * Pools of worker pods (the custom resource AgentPool): what is stored of a worker and of a claim.
 * A claim is one slot of one worker in use. The object itself, its pods and its agents are observed
 * and not stored. Instants are wall milliseconds.
 */
import * as v from "valibot";
import { NodeId } from "./id.ts";
import { LIMIT } from "./limit.ts";
import { count, instant, positive } from "./number.ts";

const text = v.string();

/** `NAMESPACE/NAME` of an AgentPool. */
export const PoolKey = v.pipe(
  text,
  v.regex(
    /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/,
    "must be NAMESPACE/NAME of an AgentPool",
  ),
);

export const LEAVING_CAUSES = [
  /** More free slots than wanted. */
  "surplus",
  /** Not heard, or heard once and no more, for `killUnknownAfterSecond`. */
  "unknown",
  "lost",
  /** Its pod ended by itself. */
  "finished",
  /** Its pod could not start in time. */
  "pending",
  /** Its agent reports a fault of a GPU that needs a repair. */
  "unhealthy",
  /** The template changed, and the pool recycles. */
  "recycled",
  /** The pool is being deleted. */
  "deleted",
  /** Somebody else deleted the pod. */
  "removed",
] as const;
export type LeavingCause = (typeof LEAVING_CAUSES)[number];

/**
 * A worker, from the decision to create its pod until the pod is gone. The row is written before
 * the pod is created, and the pod has its name, so a repeated creation makes no second one.
 */
export const Worker = v.object({
  /** Of the pod; unique among all pools, because it is also the agent's node id. */
  name: text,
  pool: text,
  /** UID of the AgentPool object: a pool that was deleted and made again has other workers. */
  poolUid: text,
  /** `metadata.generation` of the pool whose template the pod has. */
  generation: count,
  /** When it was decided; for an adopted or unknown pod, when it was first seen. */
  at: instant,
  /** UID of the pod once the API server has told it; `null` = not created as far as known. */
  uid: v.nullable(text),
  /** Listed, without a row of this fleet: it was created by somebody else. */
  found: v.boolean(),
  /** When its agent first joined, and as which node; `null` = not yet. */
  joinedAt: v.nullable(instant),
  node: v.nullable(NodeId),
  /** As its agent reports; `null` = the pool's default. */
  slots: v.nullable(positive),
  /** Since when its agent is silent, as committed; `null` = it is heard, or never was. */
  lostSince: v.nullable(instant),
  leaving: v.nullable(
    v.object({
      cause: v.picklist(LEAVING_CAUSES),
      /** It takes no claims from here on, and its agent is asked to stop. */
      since: instant,
      /** Its pod is deleted from here on; never taken back. `null` = not confirmed yet. */
      deletingAt: v.nullable(instant),
    }),
  ),
});
export type Worker = v.InferOutput<typeof Worker>;

export const CLAIM_STATES = [
  "queued",
  "running",
  "released",
  "cancelled",
  "expired",
  "lost",
] as const;
export type ClaimState = (typeof CLAIM_STATES)[number];

/** Ended ones are kept for a day. */
export const SlotClaim = v.object({
  id: text,
  pool: text,
  poolUid: text,
  label: text,
  by: text,
  /** Order of arrival among all claims. */
  ordinal: count,
  at: instant,
  expiresAt: v.nullable(instant),
  state: v.picklist(CLAIM_STATES),
  /** Name of the worker and number of its slot, from 0; `null` while queued. */
  worker: v.nullable(text),
  slot: v.nullable(count),
  placedAt: v.nullable(instant),
  endedAt: v.nullable(instant),
});
export type SlotClaim = v.InferOutput<typeof SlotClaim>;

export const isOpenClaim = ({ state }: Pick<SlotClaim, "state">): boolean =>
  state === "queued" || state === "running";

/** States of a worker in the API, the object's status and metrics. */
export const WORKER_STATES = [
  "Pending",
  "Idle",
  "Running",
  "Unknown",
  "Lost",
  "NotifyDeleting",
  "Deleting",
  "Disconnected",
  "NeedsRestart",
] as const;
export type WorkerState = (typeof WORKER_STATES)[number];

/** Why no worker can be created; the reasons of the condition `ScaleUpBlocked`. */
export const BLOCK_REASONS = [
  "QuotaExceeded",
  "Forbidden",
  "AdmissionDenied",
  "ResourceExhausted",
  "StartupFailure",
  "InvalidTemplate",
  "Unavailable",
] as const;
export type BlockReason = (typeof BLOCK_REASONS)[number];

export const CONDITIONS = [
  "Ready",
  "Gated",
  "AtMax",
  "ScaleUpBlocked",
  "InvalidTemplate",
  "Draining",
] as const;
export type ConditionType = (typeof CONDITIONS)[number];

/** A pod that joined as a worker: of which AgentPool, and its UID. */
export const WorkerFact = v.object({ pool: PoolKey, uid: v.pipe(text, v.maxLength(64)) });
export type WorkerFact = v.InferOutput<typeof WorkerFact>;

/** What a worker's agent says of itself, in each report. */
export const WorkerReport = v.object({
  /** Claims that it can serve at once; `null` = as the pool says. */
  slots: v.nullish(v.pipe(positive, v.maxValue(LIMIT.workerSlotsMax)), null),
  /** `busy`: it takes no more claims and waits for those it has; `stopped`: it has none left. */
  stop: v.picklist(["no", "busy", "stopped"]),
  /** Names of keys of its file that are accepted without effect. */
  ignored: v.nullish(v.pipe(v.array(v.pipe(text, v.regex(/^[a-z_]{1,64}$/))), v.maxLength(8)), []),
});
export type WorkerReport = v.InferOutput<typeof WorkerReport>;

/** What the control plane says to a worker's agent, in each reply. */
export const WorkerWord = v.object({
  pool: text,
  /** Claims on it now. */
  claims: count,
  /** It shall take no more claims, and say so. */
  stop: v.boolean(),
  /** Its pod's template asks for no GPU, so that none is missing. */
  without_gpus: v.optional(v.boolean()),
});
export type WorkerWord = v.InferOutput<typeof WorkerWord>;
