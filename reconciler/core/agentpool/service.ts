/**
 * What routes, the ingest of reports and metrics ask of the AgentPools of the leader. Types.
 */
import type { NodeId } from "../../../schema/id.ts";
import type { SlotClaim, Worker, WorkerReport, WorkerState } from "../../../schema/agentpool.ts";
import type { WorkerWord } from "../../../schema/agentpool.ts";
import type { AgentPool, PoolStatus } from "./model.ts";

export type WorkerView = { worker: Worker; state: WorkerState; claims: number; slots: number };

export const POOL_EVENTS = [
  "scale_up_attempt",
  "allocation_error",
  "resource_exhausted",
  "startup_failure",
] as const;
export type PoolEventKind = (typeof POOL_EVENTS)[number];

export type PoolView = {
  pool: AgentPool;
  status: PoolStatus;
  workers: readonly WorkerView[];
  /** Open claims, in the order of their arrival. */
  claims: readonly SlotClaim[];
  /** When each last happened in this process; wall milliseconds. */
  last: Readonly<Partial<Record<PoolEventKind, number>>>;
};

export type ClaimAnswer =
  | { kind: "running"; claim: SlotClaim }
  /** `position` from 1; `because`: why no slot is free, for people. */
  | { kind: "queued"; claim: SlotClaim; position: number; because: string }
  | { kind: "ended"; claim: SlotClaim }
  | Refused;

/** `unavailable` passes by itself; `conflict` waits for a person. */
export type Refused = {
  kind: "refused";
  code: "not_found" | "conflict" | "unavailable";
  message: string;
};

export type NewClaim = {
  /** Of the claim. One of this id that exists is answered as it is; no second one is made. */
  id: string;
  /** `NAMESPACE/NAME`. */
  pool: string;
  label: string;
  ttlMs: number | null;
  by: string;
};

/** The pod that a reviewed service-account token is bound to. */
export type ProvenPod = { namespace: string; name: string; uid: string };

/** What the API server that holds the pools says of a token. */
export type WorkerReview =
  | { kind: "proven"; pod: ProvenPod }
  /** The server's own word, or what it says of the token, is a no. */
  | { kind: "refused"; problem: string }
  /** The server did not say. */
  | { kind: "unknown"; problem: string };

export type AdmitAnswer =
  | { kind: "ok"; node: NodeId; pool: string }
  | { kind: "refused" | "unavailable"; message: string };

export type AgentPools = {
  /** Why there are none, in this namespace if one is named; `null` = they are served. */
  whyNot(namespace?: string): Refused | null;
  pools(): readonly PoolView[];
  pool(key: string): PoolView | null;
  /** Resolves once it is durable. */
  claim(asked: NewClaim): Promise<ClaimAnswer>;
  /** `null` = there is no such claim, or it ended more than a day ago. */
  claimOf(id: string): Promise<ClaimAnswer | null>;
  /** Releases or cancels; an ended claim stays as it is. */
  release(id: string, by: string): Promise<ClaimAnswer | null>;
  /** Of which pod a service-account token is: `agentpool/worker-token.ts`. Never rejects. */
  review(token: string): Promise<WorkerReview>;
  /** Whether the pod is a worker whose agent may join; `name`: the pool that the agent names. */
  admit(pod: ProvenPod, name: string | null): Promise<AdmitAnswer>;
  /** The worker of a node; `null` = the node is none. */
  workerOf(node: NodeId): Worker | null;
  /** What its agent says; answered with what it is told. */
  heard(node: NodeId, report: WorkerReport): WorkerWord | null;
};
