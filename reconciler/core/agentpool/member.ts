/**
 * The workers of a pool as they are: rows, with what is seen of their pods and agents. Rows follow
 * what is seen; decisions are elsewhere.
 */
import type { Worker, WorkerState } from "../../../schema/agentpool.ts";
import type { Draft } from "./draft.ts";
import type { AgentSight, WorkerPod } from "./model.ts";
import { nodeOf, type OrphanInput } from "./step-model.ts";

/** A pod that is missing for two rounds of lists is gone. */
const MISSING_MS = 20_000;
const UNHEARD: AgentSight = {
  ...{ isHeard: false, isSilent: false, isFatal: false, slots: null, stop: "no", ignored: [] },
};

export type Member = {
  worker: Worker;
  /** `null`: not listed, or the list is not current. */
  pod: WorkerPod | null;
  agent: AgentSight;
  state: WorkerState;
  /** Claims on it. */
  used: number;
  slots: number;
  /** Slots that a claim may take now. */
  free: number;
};

export const isFinished = ({ phase }: WorkerPod): boolean =>
  phase === "Failed" || phase === "Succeeded";

export const isActive = ({ isHeard, isSilent }: AgentSight): boolean => isHeard && !isSilent;

export const isWaitingForDelete = ({ leaving }: Worker): boolean => leaving?.deletingAt != null;

/** What became of workers since the last step. */
export type Turn = {
  /** Joined first in this process. */
  joined: number;
  /** Ended before their agents joined, with what is known of it. */
  failed: string[];
};

/** Writes into the rows what pods and agents show. */
export function observe(draft: Draft, input: OrphanInput): Turn {
  const turn: Turn = { joined: 0, failed: [] };
  for (const before of draft.workers) {
    const pod = input.pods?.get(before.name) ?? null;
    if (input.pods !== null && pod === null && isGone(draft, before, input)) {
      draft.drop(before);
      continue;
    }
    const named = pod === null ? before : identify(draft, before, pod);
    const agent = input.agent(named) ?? UNHEARD;
    const worker = hear(draft, named, agent);
    if (agent.isHeard && !draft.recall.knew(`heard:${worker.name}`)) {
      draft.recall.start(`heard:${worker.name}`);
      turn.joined += 1;
    }
    if (pod !== null) follow(draft, worker, pod, turn);
  }
  return turn;
}

/** Not listed for good. A creation that may still arrive keeps its row. */
function isGone({ recall }: Draft, worker: Worker, input: OrphanInput): boolean {
  const { name, uid, leaving } = worker;
  if (uid === null && leaving === null) return false;
  const wasSeen = recall.knew(`seen:${name}`);
  if (isWaitingForDelete(worker) && wasSeen) return true;
  if (recall.isInFlight(`create:${name}`)) return false;
  const left = MISSING_MS - recall.age(`missing:${name}`);
  recall.dueIn(left);
  const isHeard = isActive(input.agent(worker) ?? UNHEARD);
  return left <= 0 && (isWaitingForDelete(worker) || !isHeard);
}

/** A pod of another UID under its name is another worker. */
function identify(draft: Draft, worker: Worker, pod: WorkerPod): Worker {
  draft.recall.start(`seen:${worker.name}`);
  const generation = pod.generation ?? worker.generation;
  if (worker.uid === pod.uid && worker.generation === generation) return worker;
  if (worker.uid === null || worker.uid === pod.uid) {
    return draft.put({ ...worker, uid: pod.uid, generation });
  }
  draft.drop(worker);
  return draft.put(foundWorker(worker, pod, draft.now));
}

export function foundWorker(
  { pool, poolUid }: Pick<Worker, "pool" | "poolUid">,
  { name, uid, generation }: WorkerPod,
  at: number,
): Worker {
  return {
    ...{ name, pool, poolUid, generation: generation ?? 0, at, uid, found: true },
    ...{ joinedAt: null, node: null, slots: null, lostSince: null, leaving: null },
  };
}

function hear(draft: Draft, worker: Worker, agent: AgentSight): Worker {
  if (!agent.isHeard) return worker;
  const { now } = draft;
  const joinedAt = worker.joinedAt ?? now;
  const node = worker.node ?? nodeOf(worker);
  const slots = agent.slots ?? worker.slots;
  const lostSince = agent.isSilent ? (worker.lostSince ?? now) : keptLoss(worker, agent);
  const isSame =
    joinedAt === worker.joinedAt &&
    node === worker.node &&
    slots === worker.slots &&
    lostSince === worker.lostSince;
  return isSame ? worker : draft.put({ ...worker, joinedAt, node, slots, lostSince });
}

/** One that was asked to stop and does not answer is lost although it is heard. */
function keptLoss({ leaving, lostSince }: Worker, { stop }: AgentSight): number | null {
  return leaving !== null && leaving.deletingAt === null && stop === "no" ? lostSince : null;
}

function follow(draft: Draft, worker: Worker, pod: WorkerPod, turn: Turn): void {
  const { name, found, joinedAt } = worker;
  if (isFinished(pod) && worker.leaving?.deletingAt == null) {
    draft.kill(worker, "finished");
    draft.note("WorkerFinished", `Pod ${name} ended by itself (${pod.phase})`);
    if (joinedAt === null && !found) turn.failed.push(`pod ${name} ended before its agent joined`);
  } else if (pod.isDeleting && worker.leaving?.deletingAt == null) {
    draft.release(worker, "removed");
    draft.note("WorkerRemoved", `Pod ${name} is being deleted, not by Navarch`);
  }
}

/** Every worker with its state, by `slots` of a worker that has not said otherwise. */
export function membersOf(draft: Draft, input: OrphanInput, slots: number): Member[] {
  const used = new Map<string, number>();
  for (const { worker } of draft.claims) {
    if (worker !== null) used.set(worker, (used.get(worker) ?? 0) + 1);
  }
  return draft.workers.map((worker) => {
    const { pods } = input;
    const known = { worker, pod: pods?.get(worker.name) ?? null, used: used.get(worker.name) ?? 0 };
    const agent = input.agent(worker) ?? UNHEARD;
    const isMissing = pods !== null && known.pod === null && worker.uid !== null;
    const state = stateOf(draft, { ...known, agent, isMissing });
    const own = worker.slots ?? slots;
    return { ...known, agent, state, slots: own, free: freeOf({ ...known, agent, state }, own) };
  });
}

type Seen = Pick<Member, "worker" | "agent" | "used"> & { isMissing: boolean };

function stateOf({ recall }: Draft, { worker, agent, used, isMissing }: Seen): WorkerState {
  const { name, joinedAt, found, leaving, lostSince } = worker;
  if (leaving?.deletingAt != null) {
    return joinedAt !== null && !isActive(agent) ? "Disconnected" : "Deleting";
  }
  if (leaving !== null) return lostSince === null ? "NotifyDeleting" : "Lost";
  if (isMissing && recall.knew(`seen:${name}`)) return "Lost";
  if (agent.isHeard && agent.isSilent) return "Lost";
  if (agent.isHeard) return used > 0 || isResting(recall, name) ? "Running" : "Idle";
  if (joinedAt !== null || found) return "Unknown";
  return "Pending";
}

/** It refused to stop, because it has work of its own, and is left alone for a while. */
const REST_MS = 60_000;

const isResting = (recall: Draft["recall"], name: string): boolean => {
  if (!recall.knew(`busy:${name}`)) return false;
  const left = REST_MS - recall.age(`busy:${name}`);
  if (left <= 0) recall.since.delete(`busy:${name}`);
  else recall.dueIn(left);
  return left > 0;
};

function freeOf(
  { agent, state, used }: Pick<Member, "agent" | "state" | "used">,
  slots: number,
): number {
  if (state !== "Idle" && state !== "Running") return 0;
  return agent.isFatal || agent.stop !== "no" ? 0 : Math.max(0, slots - used);
}
