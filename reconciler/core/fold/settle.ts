/**
 * How an open operation ends: by its answer, or because the world has overtaken it. Pure apart from
 * the unit of work it fills.
 */
import type { OperationId } from "../../../schema/id.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import { type Fleet, showsPersonsCordon } from "../fleet.ts";
import { foldOutcome, type Outcome } from "./outcome.ts";

/** The answer to an operation, once: a second answer for a closed one changes nothing. */
export function settle(now: number, work: UnitOfWork, id: OperationId, outcome: Outcome): void {
  const operation = work.operation(id);
  if (operation === null || operation.state !== "asked") return;
  const node = work.node(operation.node);
  const folded = foldOutcome(operation, node, work.pool(operation.pool), outcome, now);
  work.putOperation(folded.operation);
  if (folded.node !== null) work.putNode(folded.node);
  if (folded.pool !== null) work.putPool(folded.pool);
  work.tell(folded.events);
}

/**
 * Asks that a person, or the machine itself, has overtaken before they were answered: a drain or a
 * reboot of a node that was given back, and a reboot of a machine that came up again meanwhile.
 */
export function foldOvertaken(fleet: Fleet, now: number, work: UnitOfWork): void {
  for (const { id } of fleet.operations.values()) {
    const operation = work.operation(id);
    if (operation === null || operation.state !== "asked") continue;
    const node = work.node(operation.node);
    const { payload } = operation;
    if (node === null) continue;
    if (payload.kind === "cordon" || payload.kind === "uncordon") {
      // A scheduler that does not answer keeps nobody from ending the machine by force.
      const forced = node.order?.force === true && node.order.goal !== "drain";
      const ended = (forced || node.phase.kind === "gone") && operation.attempts > 0;
      // A person's cordon came while the mark was to be lifted: it stays, and is made sure of.
      const kept =
        payload.kind === "uncordon" && payload.keep !== true && showsPersonsCordon(node);
      if (!ended && !kept) continue;
      const message = "overtaken by a person's order before it was answered";
      work.putOperation({ ...operation, state: "abandoned", closedAt: now, message });
      if (node.operation === id) {
        const kube = node.kube === null ? null : { ...node.kube, isolatedUid: null };
        work.putNode({ ...node, kube, operation: null, fence: node.fence + 1 });
      }
      continue;
    }
    if (payload.kind !== "drain" && payload.kind !== "reboot") continue;
    if (node.operation === id && node.fence === operation.fence) {
      const bootId = node.agent?.bootId ?? null;
      const again = payload.kind === "reboot" && payload.bootId !== null;
      if (again && bootId !== payload.bootId) {
        settle(now, work, id, { kind: "done", instance: null, message: "it came up again" });
      }
      continue;
    }
    const message = "overtaken before it was answered";
    work.putOperation({ ...operation, state: "abandoned", closedAt: now, message });
    if (node.operation === id) work.putNode({ ...node, operation: null });
  }
}
