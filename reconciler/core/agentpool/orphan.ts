/**
 * One step of the workers whose pool is gone: it was deleted while nothing held it, or made again
 * under its name. The garbage collector removes their pods by their owner; what it leaves is
 * deleted, and rows and claims end. Pure.
 */
import { Draft } from "./draft.ts";
import { deletePods } from "./effect.ts";
import { membersOf, observe } from "./member.ts";
import type { WorkerPod } from "./model.ts";
import { namespaceOf } from "./name.ts";
import type { OrphanInput, Step } from "./step-model.ts";

/** A list that lacks a pool for a moment ends no work. */
const GONE_MS = 60_000;

export function stepOrphans(given: OrphanInput): Step {
  const input = { ...given, pods: given.pods && podsOf(given) };
  const { pods, memory } = input;
  const draft = new Draft(input);
  const { recall } = draft;
  for (const answer of input.answers) {
    if (answer.kind === "delete") recall.answered(`delete:${answer.worker}`);
  }
  observe(draft, input);
  const left = GONE_MS - recall.age("gone");
  recall.dueIn(left);
  if (left <= 0) endAll(draft, input);
  if (pods !== null) deletePods(draft, pods, true);
  const members = membersOf(draft, input, 1);
  return {
    ...draft.written(),
    ...{ effects: draft.effects, dueMs: recall.dueMs },
    stops: new Set(members.map(({ worker }) => worker.name)),
    states: new Map(members.map(({ worker, state }) => [worker.name, state])),
    memory: { ...memory, ...draft.remembered() },
  };
}

/** Pods that the pool controlled in its namespace, and those that it had adopted, which stay. */
function podsOf({ workers, pods }: OrphanInput): NonNullable<OrphanInput["pods"]> {
  const byName = new Map(workers.map((one) => [one.name, one]));
  const isMember = (pod: WorkerPod): boolean => {
    const worker = byName.get(pod.name);
    if (worker === undefined || pod.namespace !== namespaceOf(worker.pool)) return false;
    return pod.ownerUid === null ? pod.uid === worker.uid : pod.ownerUid === worker.poolUid;
  };
  return new Map([...(pods ?? [])].filter(([, pod]) => isMember(pod)));
}

function endAll(draft: Draft, { pods }: OrphanInput): void {
  for (const worker of draft.workers) {
    const pod = pods?.get(worker.name);
    const isAdopted = pod !== undefined && pod.ownerUid === null;
    const isUnmade = worker.uid === null && pods !== null && pod === undefined;
    if (isAdopted || isUnmade) draft.drop(worker);
    else if (worker.leaving?.deletingAt == null) draft.kill(worker, "deleted");
  }
  for (const claim of draft.claims) {
    if (claim.state === "queued") draft.end(claim, "cancelled");
    else if (claim.worker === null || draft.worker(claim.worker) === null) draft.end(claim, "lost");
  }
}
