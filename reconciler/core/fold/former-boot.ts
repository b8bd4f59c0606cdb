/**
 * Former boots of a node. Boot ids are random: if an old one returns, two senders share one
 * credential (a cloned machine or theft). Neither may clear a condition; findings of both count.
 * Pure.
 */
import { LIMIT } from "../../../schema/limit.ts";
import type { AgentFact } from "../../../schema/node.ts";

/** Whether the node has reported under this boot id, and under another one since. */
export function isFormerBoot(agent: AgentFact | null, bootId: string): boolean {
  return agent?.formerBoots?.some((one) => one === bootId) === true;
}

/** Whether this is the node's first boot id to return; it is reported once. */
export function isFirstReturn(agent: AgentFact | null, bootId: string): boolean {
  if (agent === null || agent.bootId === bootId) return false;
  return isFormerBoot(agent, bootId) && !isFormerBoot(agent, agent.bootId);
}

/** Newest first; includes the current one once it has returned. */
export function formerBoots(
  before: AgentFact | null,
  bootId: string,
): Pick<AgentFact, "formerBoots"> {
  const known = before?.formerBoots ?? [];
  if (before === null || before.bootId === bootId) {
    return known.length === 0 ? {} : { formerBoots: known };
  }
  const rest = known.filter((one) => one !== before.bootId);
  return { formerBoots: [before.bootId, ...rest].slice(0, LIMIT.formerBootsMax) };
}
