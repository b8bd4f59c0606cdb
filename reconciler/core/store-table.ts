/**
 * Ports to the tables that the loop does not write: join tokens, audit, lease and claims.
 * `libsql.ts` opens them.
 */
import type { SlotClaim, Worker } from "../../schema/agentpool.ts";
import type { AuditDraft, AuditQuery, AuditRow } from "../../schema/audit.ts";
import type { Credential } from "../../schema/credential.ts";
import type { Claim } from "../../schema/claim.ts";
import type { PipelineRow } from "../../schema/console/pipeline.ts";
import type { Task, TaskState } from "../../schema/console/queue.ts";
import type { JoinToken, JoinUse } from "../../schema/join.ts";

/** A token and how often it was used. */
export type CountedToken = { token: JoinToken; uses: number };

export type JoinTable = {
  /** Newest first. */
  list(): Promise<CountedToken[]>;
  byId(id: string): Promise<CountedToken | null>;
  byHash(hash: string): Promise<CountedToken | null>;
  /** How many could still be used at `now`. */
  countOpen(now: number): Promise<number>;
  use(token: string, nonce: string): Promise<JoinUse | null>;
  /** Writes a new token, or a known one again. */
  save(token: JoinToken): Promise<void>;
  /** One transaction; rejects if this use was given already. */
  give(from: {
    token: string;
    ordinal: number;
    nonce: string;
    at: number;
    use: JoinUse;
    credential: Credential;
  }): Promise<void>;
  /** Deletes the credential that a join gave; none is no error. */
  forget(credential: string): Promise<void>;
  /** Forgets what ended before `before`. */
  trim(before: number): Promise<void>;
};

export type AuditTable = {
  /** Resolves with the row's id once it is durable. */
  append(draft: AuditDraft): Promise<number>;
  /** Records what came of a row's action. */
  settle(id: number, outcome: Pick<AuditDraft, "code" | "status" | "detail">): Promise<void>;
  /** Updates how many calls each row stands for. */
  count(rows: { id: number; count: number; until: number }[]): Promise<void>;
  /** Newest first. */
  read(query: AuditQuery): Promise<AuditRow[]>;
  /** Everybody who has a row. */
  authors(): Promise<string[]>;
  /** Keeps this many of each kind, deleting at most a batch. */
  trim(kept: { done: number; refused: number }): Promise<void>;
};

export type LeaseRow = {
  /** Empty once it was given back. */
  holder: string;
  epoch: number;
  renewal: number;
  /** URL to which other replicas forward. */
  address: string;
  /** Changes of the fleet so far: a copy with another number is out of date. */
  writes: number;
};

/** Every call is one atomic statement and may reject. */
export type LeaseTable = {
  read(): Promise<LeaseRow | null>;
  /**
   * Takes the lease if it still is as it was `seen` (`null` = never held). Resolves with the new
   * epoch, or `null` if another process was faster.
   */
  take(seen: LeaseRow | null, mine: LeaseClaim): Promise<number | null>;
  /** False: another process has it. */
  renew(holder: string, epoch: number, expiresAt: number): Promise<boolean>;
  /** Ends the lease, so that a standby need not wait. */
  release(holder: string, epoch: number): Promise<void>;
};

/** `expiresAt` is only for people who read the row. */
export type LeaseClaim = { holder: string; address: string; expiresAt: number };

/**
 * Claims of owned machines by all providers. Every call is one transaction and may reject; then a
 * write may have happened nevertheless, unless the error is `StaleEpoch`.
 */
export type ClaimTable = {
  /** Open claims, and those released within the retention. */
  read(): Promise<Claim[]>;
  /** False: its machine or its node has a claim already, of any provider, or the name is known. */
  claim(claim: Claim): Promise<boolean>;
  /** Nothing happens to a claim that is released already. */
  release(instance: string, at: number): Promise<void>;
};

/** What one transaction writes of pools of workers. */
export type WorkerChange = {
  workers: readonly Worker[];
  /** Names of workers whose pods are gone. */
  removed: readonly string[];
  claims: readonly SlotClaim[];
  /** Rows of the audit: pods that were created and deleted. */
  audit: readonly AuditDraft[];
};

/** Workers and claims of AgentPools; refused once another process leads. */
export type WorkerTable = {
  /** Workers, open claims, and those that ended within a day. A row that cannot be read rejects. */
  read(): Promise<{ workers: Worker[]; claims: SlotClaim[] }>;
  /** One transaction. May reject; then it may have been written, unless it is `StaleEpoch`. */
  commit(change: WorkerChange): Promise<void>;
  /** Forgets claims that ended before `before`. */
  trim(before: number): Promise<void>;
};

/** Tasks of the demand queue; refused once another process leads. */
export type TaskTable = {
  /** Open tasks, and the largest ordinal of all. A row that cannot be read rejects. */
  open(): Promise<{ tasks: Task[]; ordinal: number }>;
  byId(id: string): Promise<Task | null>;
  /** Newest first; before this ordinal if it is given. */
  list(query: { state: TaskState | null; before: number | null; limit: number }): Promise<Task[]>;
  /** One transaction. May reject; then it may have been written, unless it is `StaleEpoch`. */
  commit(tasks: readonly Task[]): Promise<void>;
  /** Forgets tasks that ended before `before`. */
  trim(before: number): Promise<void>;
};

/** Runs of CI/CD pipelines; the newest are kept. */
export type PipelineTable = {
  /**
   * Writes a run, unless the row has a later start of the same run, or its end while this has none:
   * reports may come late or twice. False: it was older.
   */
  save(row: PipelineRow): Promise<boolean>;
  /** By start, newest first. A row that cannot be read is left out. */
  list(limit: number): Promise<PipelineRow[]>;
};
