/**
 * One step of a pool of workers: from its rows and what is seen of it to new rows, the effects that
 * follow from them, and what it tells of itself. Pure. First the rows follow what is seen, then
 * claims are placed, then workers leave, then the pool is sized; so a worker that leaves has none.
 */
import { checkTemplate, foldAnswers, problemOf, review } from "./block.ts";
import { endClaims, placeClaims } from "./claim.ts";
import { Draft } from "./draft.ts";
import { createPods, deletePods, holdPool } from "./effect.ts";
import { leaveAll, leaveUnhealthy, replaceStuck, shakeHands } from "./leave.ts";
import { foundWorker, isFinished, type Member, membersOf, observe } from "./member.ts";
import type { Turn } from "./member.ts";
import type { AgentPool, WorkerPod } from "./model.ts";
import { labelsOf } from "./name.ts";
import { measure, recycle, type Scale, scale, scalerOf } from "./scale.ts";
import { statusOf, tellIgnored, tellTurns } from "./status.ts";
import type { Blocked, PoolInput, PoolMemory, PoolStep, Template } from "./step-model.ts";

/** Between two steps at most: a sync besides what wakes the actor. */
const SYNC_MS = 60_000;

export function step(given: PoolInput): PoolStep {
  const { pool } = given;
  const input = { ...given, pods: given.pods && membersByName(pool, given.pods) };
  const { pods, memory } = input;
  const draft = new Draft(input);
  const { slots } = scalerOf(pool);
  const members = (): Member[] => membersOf(draft, input, slots);
  const answered = foldAnswers(draft, input);
  const turn = observe(draft, input);
  if (pods !== null) findPods(draft, input);
  endClaims(draft, pool.isDeleting);
  if (!pool.isDeleting) placeClaims(draft, members());
  const recycled = leave(draft, input, { members, turn });
  const reviewed = review(draft, answered, turn);
  const sized = size(draft, input, { members, blocked: reviewed });
  const isOpen = memory.isOpen || (pods !== null && sized.gated.length === 0);
  if (pods !== null && mayDelete(pool)) deletePods(draft, pods, isOpen);
  const isUsable = pool.scaler !== null && pool.problems.length === 0 && !pool.isDeleting;
  if (isUsable) checkTemplate(draft, input);
  const isChecked = input.check?.kind === "ok";
  const mayCreate = isUsable && isOpen && pods !== null && isChecked && pool.hasFinalizer;
  const wanted = sized.create;
  const blocked = createPods(draft, input, { wanted, mayCreate, blocked: reviewed });
  const rest = draft.workers.length + (pods?.size ?? 0);
  holdPool(draft, pool, pods === null ? null : rest > 0);
  return finish(draft, input, { members: members(), sized, isOpen, blocked, recycled });
}

/** A static pool leaves its pods alone until it is deleted. */
const mayDelete = ({ scaler, isDeleting }: AgentPool): boolean => scaler !== null || isDeleting;

/** Membership is by owner: equal labels make no member, except where the pool adopts. */
function membersByName(
  pool: AgentPool,
  pods: ReadonlyMap<string, WorkerPod>,
): ReadonlyMap<string, WorkerPod> {
  const labels = labelsOf(pool);
  const isMember = (pod: WorkerPod): boolean => {
    if (pod.namespace !== pool.namespace) return false;
    if (pod.ownerUid !== null) return pod.ownerUid === pool.uid;
    return pool.adopts && labels.length > 0 && labels.every(([k, text]) => pod.labels[k] === text);
  };
  return new Map([...pods].filter(([, pod]) => isMember(pod)));
}

/**
 * A pod without a row was created by another party, or by a call that came late. Its name is also
 * its agent's, so that of another worker, perhaps in another namespace, makes it none.
 */
function findPods(draft: Draft, { pool, pods, isTaken }: PoolInput): void {
  const unknown = [...(pods?.values() ?? [])].filter(
    ({ name, isDeleting }) => draft.worker(name) === null && !isDeleting,
  );
  const taken = unknown.find(({ name }) => isTaken(name))?.name ?? null;
  if (draft.changes("taken", taken) && taken !== null) {
    const why = "a worker of another pool has this name; give the pod another name";
    draft.warn("NameTaken", `Pod ${taken} is no worker: ${why}`);
  }
  for (const pod of unknown) {
    if (isTaken(pod.name)) continue;
    const row = foundWorker({ pool: pool.key, poolUid: pool.uid }, pod, draft.now);
    draft.recall.start(`seen:${pod.name}`);
    draft.put(row);
    if (isFinished(pod)) draft.release(row, "finished");
  }
}

/** A change of numbers alone makes no pod's template an older one. */
function templateOf(
  { template, generation }: AgentPool,
  { template: before }: PoolMemory,
): Template {
  const text = JSON.stringify(template);
  return before?.text === text ? before : { text, templateGeneration: generation };
}

type Leaving = { members: () => Member[]; turn: Turn };

/** Gives how often stuck pods were replaced in vain. */
function leave(draft: Draft, { pool, memory }: PoolInput, { members, turn }: Leaving): number {
  const recycled = turn.joined > 0 ? 0 : memory.recycled;
  if (pool.isDeleting) leaveAll(draft, pool);
  else if (pool.scaler !== null) {
    leaveUnhealthy(draft, members());
    const { templateGeneration } = templateOf(pool, memory);
    if (replaceStuck(draft, pool, members(), { recycled, templateGeneration })) {
      shakeHands(draft, members());
      return recycled + 1;
    }
  }
  shakeHands(draft, members());
  return recycled;
}

type Sizing = { members: () => Member[]; blocked: Blocked | null };

function size(draft: Draft, { pool, pods, memory }: PoolInput, from: Sizing): Scale {
  const { isOpen, surplusSince } = memory;
  const { blocked } = from;
  const base = { pool, queued: draft.queued.length, isOpen, surplusSince, blocked };
  if (pods === null) return measure({ ...base, members: from.members(), spare: 0 });
  const spare = isOpen ? recycle(draft, pool, from.members()) : 0;
  return scale(draft, { ...base, members: from.members(), spare });
}

type Result = {
  members: readonly Member[];
  sized: Scale;
  isOpen: boolean;
  blocked: Blocked | null;
  recycled: number;
};

function finish(draft: Draft, input: PoolInput, result: Result): PoolStep {
  const { pool, pods, check, dark } = input;
  const { members, sized, isOpen, blocked, recycled } = result;
  const { recall } = draft;
  const { gated, create, surplusSince } = sized;
  const context = { pool, members, queued: draft.queued.length, isOpen, surplusSince, blocked };
  const now = measure({ ...context, spare: 0 });
  const bad = pool.problems.length > 0 ? pool.problems.join("; ") : badTemplate(input, blocked);
  const { min, minIdle } = scalerOf(pool);
  const status = statusOf(draft, {
    ...{ pool, members, scale: { ...now, gated }, dark: pods === null ? (dark ?? "") : null },
    ...{ isChecked: check?.kind === "ok", badTemplate: bad },
    problem: problemOf(draft, input, blocked),
    isShort: create > 0 || now.size < min || now.idle < minIdle,
  });
  tellTurns(draft, status);
  tellIgnored(draft, pool, members);
  if (members.length > 0 || draft.claims.length > 0) recall.dueIn(SYNC_MS);
  const { effects, events } = draft;
  const stops = members.filter(({ worker }) => worker.leaving !== null);
  return {
    ...draft.written(),
    ...{ effects, events, status, dueMs: recall.dueMs },
    stops: new Set(stops.map(({ worker }) => worker.name)),
    states: new Map(members.map(({ worker, state }) => [worker.name, state])),
    memory: {
      ...{ template: templateOf(pool, input.memory), isOpen, surplusSince, blocked, recycled },
      ...draft.remembered(),
    },
  };
}

/** A refusal for another reason, such as a quota, is no fault of the template. */
function badTemplate({ check }: PoolInput, blocked: Blocked | null): string | null {
  if (blocked?.reason === "InvalidTemplate") return blocked.message;
  return check?.kind === "refused" && check.reason === "InvalidTemplate" ? check.message : null;
}
