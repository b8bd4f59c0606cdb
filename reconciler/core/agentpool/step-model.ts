/**
 * What `step.ts` takes and gives: one pool at one instant. Types. A step is a pure function of
 * stored rows and current sight. Its rows are committed before its effects are carried out, and
 * each effect follows from committed rows alone, so it may be repeated or sent by an old leader.
 */
import type { BlockReason, SlotClaim, Worker, WorkerState } from "../../../schema/agentpool.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { AgentPool, AgentSight, DeleteAnswer, PodAnswer } from "./model.ts";
import type { PoolEvent, PoolStatus, WorkerPod } from "./model.ts";

/** What an effect answered. */
export type EffectAnswer =
  | { kind: "create"; worker: string; answer: PodAnswer }
  | { kind: "delete"; worker: string; answer: DeleteAnswer }
  | { kind: "hold"; answer: DeleteAnswer };

/** What is seen of one pool, or of workers whose pool is gone. */
type SightInput = {
  workers: readonly Worker[];
  /** Open claims, by ordinal. */
  claims: readonly SlotClaim[];
  /** By name; `null` = not known, or not current. */
  pods: ReadonlyMap<string, WorkerPod> | null;
  /** Why `pods` is `null`. */
  dark: string | null;
  /** `null` = it never joined. */
  agent(worker: Worker): AgentSight | null;
  /** Since the last step. */
  answers: readonly EffectAnswer[];
  /** As the last committed step gave it; `freshMemory()` at first. */
  memory: PoolMemory;
  /** Wall and monotonic milliseconds. */
  now: number;
  mono: number;
};

/** Workers and claims of this pool's UID; pods that it controls or may adopt. */
export type PoolInput = SightInput & {
  pool: AgentPool;
  /** Newest answer of the dry run of this generation's template; `null` = none yet. */
  check: PodAnswer | null;
  /** 0 ≤ x < 1, for names. */
  random(): number;
  /** Whether a worker of any pool has this name. */
  isTaken(name: string): boolean;
};

/** Workers and claims of one UID whose pool is not among the pools of a current list. */
export type OrphanInput = SightInput;

/** `text`: the template as JSON. `templateGeneration`: of the pool when it last changed. */
export type Template = { text: string; templateGeneration: number };

/** What a restart may lose. Kept only if the step's rows were committed. */
export type PoolMemory = {
  /** `null` = not seen yet. */
  template: Template | null;
  /** Monotonic instant of the last step. */
  stepAt: number | null;
  /** The start gate was passed. */
  isOpen: boolean;
  /** Since when one worker too many is there, monotonic; `null` = none is. */
  surplusSince: number | null;
  /** The last creation that failed, with no worker joined since. */
  blocked: Blocked | null;
  /** Monotonic instants at which things of this process were first seen, by a key of the step's. */
  since: ReadonlyMap<string, number>;
  /** Effects that were sent, by a key of the step's. */
  sent: ReadonlyMap<string, Sent>;
  /** Monotonic instants of pod writes within a minute; `null` = not counted yet. */
  writes: readonly number[] | null;
  /** Times that stuck pods were replaced with no worker joined since. */
  recycled: number;
  /** What was told last, by its subject. */
  told: ReadonlyMap<string, string>;
};

export type Blocked = {
  reason: BlockReason;
  message: string;
  /** Wall. */
  at: number;
  /** Of the last attempt, monotonic. */
  atMono: number;
  /** An attempt after it was answered well: more may be created, though none has joined yet. */
  isProbed: boolean;
};

export type Sent = {
  /** Monotonic. */
  at: number;
  /** Times that it was sent. */
  tries: number;
  isAnswered: boolean;
};

export type PodEffect =
  | { kind: "create"; worker: Worker }
  | { kind: "delete"; worker: Worker; pod: WorkerPod }
  /** The dry run of the template is needed, also again. */
  | { kind: "check" }
  | { kind: "hold"; isHeld: boolean };

/** What every step gives. */
export type Step = {
  /** New and changed rows. */
  workers: readonly Worker[];
  removed: readonly string[];
  /** Changed rows. */
  claims: readonly SlotClaim[];
  /**
   * To be sent once the rows are committed, each once, all at once: the step holds back what must
   * wait, and gives an effect again if it stays without an answer or without result.
   */
  effects: readonly PodEffect[];
  /** Workers that are asked to stop, by name. */
  stops: ReadonlySet<string>;
  states: ReadonlyMap<string, WorkerState>;
  memory: PoolMemory;
  /** Milliseconds until something is due without an event; `null` = nothing. */
  dueMs: number | null;
};

export type PoolStep = Step & {
  status: PoolStatus;
  events: readonly PoolEvent[];
};

/** The node as which the agent of a worker joins: the name of its pod. */
export const nodeOf = ({ name }: Pick<Worker, "name">): NodeId => name as NodeId;
