/**
 * How an open operation ends: by its answer, or because the world has overtaken it. Pure apart from
 * the draft it fills.
 */
import type { OperationId } from "../../../schema/id.ts";
import type { Draft } from "../draft.ts";
import { type Fleet, showsPersonsCordon } from "../fleet.ts";
import { foldOutcome, type Outcome } from "./outcome.ts";

/** The answer to an operation, once: a second answer for a closed one changes nothing. */
export function settle(now: number, draft: Draft, id: OperationId, outcome: Outcome): void {
  const operation = draft.operation(id);
  if (operation === null || operation.state !== "asked") return;
  const node = draft.node(operation.node);
  const folded = foldOutcome(operation, node, draft.pool(operation.pool), outcome, now);
  draft.putOperation(folded.operation);
  if (folded.node !== null) draft.putNode(folded.node);
  if (folded.pool !== null) draft.putPool(folded.pool);
  draft.tell(folded.events);
}

/**
 * Asks that a person, or the machine itself, has overtaken before they were answered: a drain or a
 * reboot of a node that was given back, and a reboot of a machine that came up again meanwhile.
 */
export function foldOvertaken(fleet: Fleet, now: number, draft: Draft): void {
  for (const { id } of fleet.operations.values()) {
    const operation = draft.operation(id);
    if (operation === null || operation.state !== "asked") continue;
    const node = draft.node(operation.node);
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
      draft.putOperation({ ...operation, state: "abandoned", closedAt: now, message });
      if (node.operation === id) {
        const kube = node.kube === null ? null : { ...node.kube, isolatedUid: null };
        draft.putNode({ ...node, kube, operation: null, fence: node.fence + 1 });
      }
      continue;
    }
    if (payload.kind !== "drain" && payload.kind !== "reboot") continue;
    if (node.operation === id && node.fence === operation.fence) {
      const bootId = node.agent?.bootId ?? null;
      const again = payload.kind === "reboot" && payload.bootId !== null;
      if (again && bootId !== payload.bootId) {
        settle(now, draft, id, { kind: "done", instance: null, message: "it came up again" });
      }
      continue;
    }
    const message = "overtaken before it was answered";
    draft.putOperation({ ...operation, state: "abandoned", closedAt: now, message });
    if (node.operation === id) draft.putNode({ ...node, operation: null });
  }
}
