/**
 * Which workers leave for their own sake, and the handshake of those that were asked to stop: asked
 * in a committed row, confirmed by the agent, then marked for deletion in another.
 */
import type { LeavingCause } from "../../../schema/agentpool.ts";
import { backoffMs } from "../turn/backoff.ts";
import type { Draft } from "./draft.ts";
import { isActive, type Member } from "./member.ts";
import type { AgentPool, PodTrouble } from "./model.ts";
import { scalerOf } from "./scale.ts";
import type { Template } from "./step-model.ts";

/** An agent that was asked to stop answers within this time, or counts as lost. */
const ANSWER_MS = 30_000;
const LONGER_MAX = 16;

/** A worker whose deletion was asked for by a person or by the pool itself waits for its work. */
const isPatient = (cause: LeavingCause): boolean => cause === "deleted" || cause === "unhealthy";

/** The pool is being deleted: all leave, at once or once their claims have ended. */
export function leaveAll(draft: Draft, pool: AgentPool): void {
  for (const worker of draft.workers) {
    if (worker.leaving?.deletingAt != null) continue;
    if (!pool.drainsOnDelete) draft.kill(worker, "deleted");
    else if (worker.leaving === null) draft.ask(worker, "deleted");
  }
}

/** One that was asked while it had no claim, and has one nevertheless, is not asked any more. */
export function shakeHands(draft: Draft, members: readonly Member[]): void {
  for (const { worker, agent, used } of members) {
    const { leaving, name, joinedAt } = worker;
    if (leaving === null || leaving.deletingAt !== null) continue;
    const { cause } = leaving;
    const hasWork = used > 0 || (isActive(agent) && agent.stop === "busy");
    if (hasWork) {
      if (isPatient(cause)) continue;
      draft.recall.start(`busy:${name}`);
      draft.put({ ...worker, leaving: null, lostSince: null });
      draft.note("StopRefused", `Worker ${name} has work and stays`);
    } else if (joinedAt === null || (isActive(agent) && agent.stop === "stopped")) {
      draft.release(worker, cause);
    } else awaitAnswer(draft, worker.name, worker.lostSince);
  }
}

function awaitAnswer(draft: Draft, name: string, lostSince: number | null): void {
  if (lostSince !== null) return;
  const left = ANSWER_MS - draft.recall.age(`asked:${name}`);
  draft.recall.dueIn(left);
  const worker = draft.worker(name);
  if (left <= 0 && worker !== null) draft.put({ ...worker, lostSince: draft.now });
}

/** A fatal verdict of its GPUs: it takes no more claims, and leaves once it has none. */
export function leaveUnhealthy(draft: Draft, members: readonly Member[]): void {
  for (const { worker, agent, used, state } of members) {
    const isHere = state === "Idle" || state === "Running";
    if (!isHere || !agent.isFatal || used > 0) continue;
    draft.ask(worker, "unhealthy");
    draft.warn("WorkerUnhealthy", `Worker ${worker.name} has a fault that needs a repair`);
  }
}

/**
 * What keeps a pod from joining; `null`: nothing but time. `room` waits for the cluster, `start`
 * for a person, `mount` for either, `join` for its agent.
 */
export function stuckOf({ pod, state }: Member): Stuck | null {
  if (state !== "Pending" || pod === null || pod.isDeleting) return null;
  const { trouble } = pod;
  if (trouble === null) {
    return pod.phase === "Running" ? { kind: "join", why: "its agent has not joined" } : null;
  }
  return { kind: STUCK[trouble.kind], why: trouble.message };
}

type Stuck = { kind: "room" | "start" | "mount" | "join"; why: string };

const STUCK: Readonly<Record<PodTrouble["kind"], Stuck["kind"]>> = {
  unschedulable: "room",
  image: "start",
  config: "start",
  mount: "mount",
};

/** Each kind has a time of its own: a pod that waited an hour for room has just begun to start. */
export const stuckKey = (name: string, { kind }: Stuck): string => `stuck:${kind}:${name}`;

/** How long a stuck pod is waited for; `null` = until it is no more. */
export function patienceOf(pool: AgentPool, { kind }: Stuck, recycled: number): number | null {
  const longer = (ms: number): number => backoffMs(recycled + 1, ms, ms * LONGER_MAX);
  if (kind === "start" || kind === "mount") return longer(pool.pendingTimeoutMs);
  const { killUnknownMs } = scalerOf(pool);
  return kind === "join" && killUnknownMs > 0 ? longer(killUnknownMs) : null;
}

/** An agent joins within seconds; a pod of an older template that has not after this never will. */
const JOINS_MS = 60_000;

/** Replaces pods that cannot start. Tells whether one waited in vain with the newest template. */
export function replaceStuck(
  draft: Draft,
  pool: AgentPool,
  members: readonly Member[],
  { recycled, templateGeneration }: Pick<Template, "templateGeneration"> & { recycled: number },
): boolean {
  let isInVain = false;
  const { recall } = draft;
  for (const member of members) {
    const { worker } = member;
    const stuck = stuckOf(member);
    if (stuck === null) continue;
    const patience = patienceOf(pool, stuck, recycled);
    // A newer template may have fixed what keeps this pod from joining.
    const isOlder = worker.generation < templateGeneration;
    const isStarting = stuck.kind === "join" || stuck.kind === "mount";
    const waitMs = isOlder ? (isStarting ? JOINS_MS : 0) : patience;
    const age = recall.age(stuckKey(worker.name, stuck));
    if (waitMs === null) continue;
    const left = Math.min(waitMs, patience ?? waitMs) - age;
    recall.dueIn(left);
    if (left > 0) continue;
    isInVain ||= !isOlder;
    draft.kill(worker, stuck.kind === "join" ? "unknown" : "pending");
    draft.warn("WorkerStuck", `Pod ${worker.name} is replaced: ${stuck.why}`);
  }
  return isInVain;
}
