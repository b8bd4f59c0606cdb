/**
 * The order to reboot that an owned machine's agent gets with the replies to its reports, and the
 * agent's refusal. Pure. It is derived from the node, so that a control plane that dies gives it
 * again, and the agent carries out one id once. The next boot id is the proof.
 */
import { createHash } from "node:crypto";
import type { CommandId, OperationId } from "../../schema/id.ts";
import type { Node } from "../../schema/node.ts";
import type { AgentCommand, CommandResult } from "../../schema/report.ts";

/** The operation's id may be longer than an order's. */
export function orderIdOf(operation: OperationId): CommandId {
  const digest = createHash("sha256").update(operation).digest("hex");
  return `reboot-${digest.slice(0, 32)}` as CommandId;
}

/** `bootId` is the one of the report that is answered: a later boot gets no order. */
export function rebootOrderFor(node: Node | null, bootId: string): AgentCommand | null {
  if (node === null || node.phase.kind !== "repairing") return null;
  const { order, refused, bootId: before } = node.phase;
  if (order === undefined || refused !== undefined || before !== bootId) return null;
  return { command_id: order as CommandId, type: "reboot", parameters: {}, fence: node.fence };
}

const WHY_CHARS_MAX = 200;

/** The node with the agent's refusal, or `null` if nothing changed. */
export function foldRebootResults(node: Node, results: readonly CommandResult[]): Node | null {
  const { phase } = node;
  if (phase.kind !== "repairing" || phase.order === undefined) return null;
  if (phase.refused !== undefined) return null;
  const result = results.find(({ command_id: id }) => id === phase.order);
  if (result === undefined || result.outcome === "succeeded") return null;
  const output = (result.output ?? "").slice(0, WHY_CHARS_MAX);
  return { ...node, phase: { ...phase, refused: output === "" ? result.outcome : output } };
}
