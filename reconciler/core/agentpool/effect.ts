/**
 * Which effects of committed rows are sent now: behind the gate, once, again if they stay without a
 * result, and never more than so many pod writes a minute.
 */
import type { LeavingCause, Worker } from "../../../schema/agentpool.ts";
import type { Draft } from "./draft.ts";
import type { AgentPool, WorkerPod } from "./model.ts";
import type { Blocked, PoolInput } from "./step-model.ts";
import { baseOf, freeName } from "./name.ts";
import { CREATES_AT_ONCE, RETRY_MS } from "./scale.ts";

const CAUSES: Readonly<Record<LeavingCause, string>> = {
  surplus: "more slots are free than wanted",
  unknown: "its agent has not joined for too long",
  lost: "its agent is silent for too long",
  finished: "its pod ended",
  pending: "its pod could not start in time",
  unhealthy: "its GPUs have a fault that needs a repair",
  recycled: "the template of the pool has changed",
  deleted: "the pool is being deleted",
  removed: "another party deletes it",
};

/** What is deleted although other workers are not heard yet. */
const UNGATED: readonly LeavingCause[] = ["unknown", "lost", "deleted"];

export function deletePods(
  draft: Draft,
  pods: ReadonlyMap<string, WorkerPod>,
  isOpen: boolean,
): void {
  for (const worker of draft.workers) {
    const { name, uid, leaving } = worker;
    const pod = pods.get(name);
    if (leaving?.deletingAt == null || pod === undefined) continue;
    if (pod.isDeleting || pod.uid !== uid) continue;
    if (!isOpen && !UNGATED.includes(leaving.cause)) continue;
    const key = `delete:${name}`;
    const isFirst = draft.recall.keep(key) === null;
    if (!draft.recall.mayTry(key) || !draft.recall.write(key)) continue;
    draft.effects.push({ kind: "delete", worker, pod });
    if (isFirst) draft.note("Deleted", `Deleted pod ${name}: ${CAUSES[leaving.cause]}`);
  }
}

export type Growth = {
  /** New workers, as many as the maximum allows. */
  wanted: number;
  mayCreate: boolean;
  blocked: Blocked | null;
};

/** Sends creations that are not known to have been done, then new ones; gives what blocks. */
export function createPods(draft: Draft, input: PoolInput, growth: Growth): Blocked | null {
  const { recall } = draft;
  const due = draft.workers.filter((one) => isUncreated(one, input.pods));
  const inFlight = due.filter((one) => recall.isInFlight(`create:${one.name}`)).length;
  if (!growth.mayCreate) return growth.blocked;
  let { blocked } = growth;
  const isBlocked = blocked !== null && !blocked.isProbed;
  if (blocked !== null && isBlocked && recall.mono - blocked.atMono < RETRY_MS) return blocked;
  let room = (isBlocked ? 1 : CREATES_AT_ONCE) - inFlight;
  const send = (worker: Worker): void => {
    if (!recall.write(`create:${worker.name}`)) return;
    room -= 1;
    draft.effects.push({ kind: "create", worker });
    if (blocked !== null) blocked = { ...blocked, atMono: recall.mono };
  };
  for (const worker of due) {
    if (room === 0 || worker.leaving !== null || !recall.mayTry(`create:${worker.name}`)) continue;
    send(draft.put({ ...worker, generation: input.pool.generation }));
  }
  for (let i = 0; i < growth.wanted && room > 0 && recall.room > 0; i++) {
    const worker = newWorker(draft, input);
    if (worker === null) break;
    send(draft.put(worker));
  }
  if (growth.wanted > 0) recall.dueWithRoom();
  return blocked;
}

const isUncreated = ({ name, uid }: Worker, pods: PoolInput["pods"]): boolean =>
  uid === null && pods?.has(name) !== true;

function newWorker(draft: Draft, { pool, random, isTaken }: PoolInput): Worker | null {
  const isUsed = (name: string): boolean => draft.worker(name) !== null || isTaken(name);
  const name = freeName(baseOf(pool), random, isUsed);
  if (name === null) return null;
  return {
    ...{ name, pool: pool.key, poolUid: pool.uid, generation: pool.generation, at: draft.now },
    ...{ uid: null, found: false, joinedAt: null, node: null, slots: null, lostSince: null },
    leaving: null,
  };
}

/** Our finalizer: before the first pod, until the last is gone. */
export function holdPool(draft: Draft, pool: AgentPool, hasPods: boolean | null): void {
  const { isDeleting, hasFinalizer, problems } = pool;
  const isWanted = isDeleting ? hasFinalizer : !hasFinalizer && problems.length === 0;
  if (!isWanted || (isDeleting && hasPods !== false)) return;
  if (!draft.recall.mayTry("hold")) return;
  draft.recall.mark("hold");
  draft.effects.push({ kind: "hold", isHeld: !isDeleting });
}
