/**
 * The order to reboot that an owned machine's agent gets with the replies to its reports, and the
 * agent's refusal. Pure. It is derived from the node, so that a control plane that dies gives it
 * again, and the agent carries out one id once. The next boot id is the proof.
 */
import { createHash } from "node:crypto";
import type { CommandId, NodeId, OperationId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { AgentCommand, CommandResult } from "../../../schema/report.ts";
import type { Fleet } from "../fleet.ts";
import { frozenBy } from "../safety/step.ts";
import { isHeldInSlurm } from "../slurm/hold.ts";

/** The operation's id may be longer than an order's. */
export function orderIdOf(operation: OperationId): CommandId {
  const digest = createHash("sha256").update(operation).digest("hex");
  return `reboot-${digest.slice(0, 32)}` as CommandId;
}

/**
 * `bootId` is the one of the report that is answered: a later boot gets no order. A freeze, a hold
 * of the pool or what others do in Slurm that came after the decision holds the order back.
 */
export function rebootOrderFor(
  { nodes, pools, facts }: Fleet,
  id: NodeId,
  bootId: string,
  now: number,
): AgentCommand | null {
  const node = nodes.get(id);
  if (node === undefined || node.phase.kind !== "repairing") return null;
  const { order, bootId: before } = node.phase;
  if (order === undefined || node.session?.refused !== undefined) return null;
  if (before !== bootId) return null;
  if (node.order === null && isHeldInSlurm(node)) return null;
  const hold = node.pool === null ? null : (pools.get(node.pool)?.hold ?? null);
  if (frozenBy(facts, now) !== null || (hold !== null && hold.until > now)) return null;
  return { command_id: order as CommandId, type: "reboot", parameters: {}, fence: node.fence };
}

const WHY_CHARS_MAX = 200;

/** The node with the agent's refusal, or `null` if nothing changed. */
export function foldRebootResults(node: Node, results: readonly CommandResult[]): Node | null {
  const { phase, session } = node;
  if (phase.kind !== "repairing" || phase.order === undefined || session === null) return null;
  const result = results.find(({ command_id: id }) => id === phase.order);
  if (result === undefined || result.outcome === "succeeded") return null;
  const output = (result.output ?? "").slice(0, WHY_CHARS_MAX);
  const refused = output === "" ? result.outcome : output;
  // It was not rebooted, so a later fault is no relapse.
  return { ...node, rebootedAt: null, session: { ...session, refused } };
}
