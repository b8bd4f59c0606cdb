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

/** Whether another sender was the last one that spoke for the node. */
export function isReturned(agent: AgentFact | null, bootId: string): boolean {
  return agent !== null && agent.bootId !== bootId && isFormerBoot(agent, bootId);
}

/** Whether it is the first one of the node to come back: what is said of it is said once. */
export function isFirstReturn(agent: AgentFact | null, bootId: string): boolean {
  return agent !== null && isReturned(agent, bootId) && !isFormerBoot(agent, agent.bootId);
}

/** The newest first, the present one too once it has come back. */
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
