/**
 * What `step.ts` takes and gives: one pool at one instant. Types. A step is a pure function of
 * stored rows and current sight. Its rows are committed before its effects are carried out, and
 * each effect follows from committed rows alone, so it may be repeated or sent by an old leader.
 */
import type { SlotClaim, Worker, WorkerState } from "../../../schema/agentpool.ts";
import type { BlockReason } from "../../../schema/agentpool.ts";
import type { AgentPool, AgentSight, PodAnswer, PoolEvent } from "./model.ts";
import type { PoolStatus, WorkerPod } from "./model.ts";

export type PoolInput = {
  pool: AgentPool;
  /** Of this pool's UID. */
  workers: readonly Worker[];
  /** Open claims of this pool's UID, by ordinal. */
  claims: readonly SlotClaim[];
  /** Pods that this pool controls or may adopt, by name; `null` = not known, or not current. */
  pods: ReadonlyMap<string, WorkerPod> | null;
  /** `null` = it never joined. */
  agent(worker: Worker): AgentSight | null;
  /** What effects answered since the last step. */
  answers: readonly { worker: string; answer: PodAnswer }[];
  /** Of the dry run of this generation's template; `null` = not asked yet. */
  check: PodAnswer | null;
  memory: PoolMemory;
  /** Wall and monotonic milliseconds. */
  now: number;
  mono: number;
  /** 0 ≤ x < 1, for names. */
  random(): number;
  /** Whether another worker of any pool has this name. */
  isTaken(name: string): boolean;
};

/** What a restart may lose. */
export type PoolMemory = {
  /** Since when one worker too many is there, monotonic; `null` = none is. */
  surplusSince: number | null;
  /** The last creation that failed, with no worker joined since. */
  blocked: { reason: BlockReason; message: string; at: number; atMono: number } | null;
  /** Monotonic instants at which things of this process were first seen, by a key of the step's. */
  since: ReadonlyMap<string, number>;
  /** Rounds of lists in which a worker's pod was missing, by name. */
  missing: ReadonlyMap<string, number>;
};

export type PodEffect =
  | { kind: "create"; worker: Worker }
  | { kind: "delete"; worker: Worker; pod: WorkerPod }
  /** The dry run of the template is needed. */
  | { kind: "check" }
  | { kind: "hold"; isHeld: boolean };

export type PoolStep = {
  /** New and changed rows. */
  workers: readonly Worker[];
  removed: readonly string[];
  /** Changed rows. */
  claims: readonly SlotClaim[];
  /** Complete: what is not repeated in the next step is no longer wanted. */
  effects: readonly PodEffect[];
  /** Workers that are asked to stop, by name. */
  stops: ReadonlySet<string>;
  states: ReadonlyMap<string, WorkerState>;
  status: PoolStatus;
  events: readonly PoolEvent[];
  memory: PoolMemory;
  /** Milliseconds until something is due without an event; `null` = nothing. */
  dueMs: number | null;
};
