/** Ends open operations: by an answer, or by a newer fact. Pure except for the unit of work. */
import type { OperationId } from "../../../schema/id.ts";
import type { Operation } from "../../../schema/operation.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import { type Fleet, showsPersonsCordon } from "../fleet.ts";
import { foldOutcome, type Outcome } from "./outcome.ts";
import { isReopened } from "../slurm/mark.ts";
import { marksGivenUp, marksOf } from "./mark-record.ts";
import { closeSlurmOnly, foldSlurmAnswer, isSlurmOnly } from "./slurm-answer.ts";
import { sayOutcome } from "../say/outcome.ts";

/** Applies the answer to an operation; an answer to a closed one changes nothing. */
export function settle(now: number, work: UnitOfWork, id: OperationId, outcome: Outcome): void {
  const operation = work.operation(id);
  if (operation === null || operation.state !== "asked") return;
  const before = work.node(operation.node);
  const node = settleSlurm(now, work, operation, outcome);
  if (isSlurmOnly(operation)) {
    work.record(marksOf(operation, before, outcome, "done", now));
    return;
  }
  const folded = foldOutcome(operation, node, (key) => work.fact(key), outcome, now);
  const marks = marksOf(operation, before, outcome, folded.operation.state, now);
  const isRecorded = marks.some(({ verb, code }) => verb === "drain" && code === "ok");
  work.putOperation(isRecorded ? { ...folded.operation, recorded: true } : folded.operation);
  work.record(marks);
  if (folded.node !== null) work.putNode(folded.node);
  for (const rest of folded.rests.put) work.putFact(rest);
  for (const key of folded.rests.drop) work.dropFact(key);
  work.tell(folded.events);
}

/** Slurm's part of the answer; an operation for Slurm alone ends with it. */
function settleSlurm(now: number, work: UnitOfWork, operation: Operation, outcome: Outcome) {
  const { id } = operation;
  const isOnly = isSlurmOnly(operation);
  if (isOnly) work.putOperation(closeSlurmOnly(operation, outcome, now));
  const node = work.node(operation.node);
  if (node === null || node.operation !== id) return node;
  const answered = foldSlurmAnswer(operation, node, outcome, now);
  if (answered !== null) work.tell(answered.events);
  const next = answered?.node ?? node;
  if (isOnly) work.putNode({ ...next, operation: null });
  else if (answered !== null) work.putNode(next);
  return next;
}

/**
 * Ends operations that a newer fact has overtaken: a drain or reboot of a node that was uncordoned,
 * a reboot of a machine with a new boot id, a mark that a person's order replaced, the end of a
 * machine that a person put back into service in Slurm.
 */
export function foldOvertaken(fleet: Fleet, now: number, work: UnitOfWork): void {
  for (const { id } of fleet.operations.values()) {
    const operation = work.operation(id);
    if (operation === null || operation.state !== "asked") continue;
    const node = work.node(operation.node);
    const { payload } = operation;
    if (node === null) continue;
    if (payload.kind === "cordon" || payload.kind === "uncordon") {
      // A scheduler that does not answer must not block a forced termination.
      const forced = node.order?.force === true && node.order.goal !== "drain";
      const isOnly = isSlurmOnly(operation);
      const ended = (forced || node.phase.kind === "gone") && (operation.attempts > 0 || isOnly);
      // A person cordoned the node while its mark was to be lifted: the mark stays.
      const kept =
        payload.kind === "uncordon" &&
        payload.keep !== true &&
        (isOnly ? node.cordon.human !== null : showsPersonsCordon(node));
      if (!ended && !kept) continue;
      const message = sayOutcome({ code: "overruled" });
      const given: Operation = { ...operation, state: "abandoned", closedAt: now, message };
      work.putOperation(given);
      work.record(marksGivenUp(given, node, now));
      if (node.operation === id) {
        const { kube, slurm } = node;
        const unmarked = {
          kube: kube === null || isOnly ? kube : { ...kube, isolatedUid: null },
          // The list tells whether the call was still made.
          slurm: slurm === null || !isOnly ? slurm : { ...slurm, markedAt: null },
        };
        work.putNode({ ...node, ...unmarked, operation: null, fence: node.fence + 1 });
      }
      continue;
    }
    if (payload.kind === "terminate" && node.operation === id && isReopened(node)) {
      // Asked again once it is drained again and no job is left.
      const message = sayOutcome({ code: "withdrawn" });
      work.putOperation({ ...operation, state: "abandoned", closedAt: now, message });
      work.putNode({ ...node, operation: null, fence: node.fence + 1 });
      continue;
    }
    const isEnd = payload.kind === "end_jobs";
    if (payload.kind !== "drain" && payload.kind !== "reboot" && !isEnd) continue;
    // A forced order ends the machine without waiting for Slurm.
    const isMoot = isEnd && (node.phase.kind !== "draining" || node.order?.force === true);
    if (node.operation === id && node.fence === operation.fence && !isMoot) {
      const bootId = node.agent?.bootId ?? null;
      const again = payload.kind === "reboot" && payload.bootId !== null;
      if (again && bootId !== payload.bootId) {
        const message = sayOutcome({ code: "came_up" });
        settle(now, work, id, { kind: "done", instance: null, message });
      }
      continue;
    }
    const message = sayOutcome({ code: "overtaken" });
    work.putOperation({ ...operation, state: "abandoned", closedAt: now, message });
    if (node.operation === id) work.putNode({ ...node, operation: null });
  }
}
