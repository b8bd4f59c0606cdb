/**
 * Former boots and streams of a node. Their ids are random: if an old one returns, two senders
 * share one credential (a cloned machine, a second agent or theft). Of two boots neither may clear
 * a condition; findings of both count. Pure.
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

/** As `isFirstReturn`, of streams under one boot: an agent that starts again has a new one. */
export function isStreamBack(agent: AgentFact, { bootId, stream }: Sender): boolean {
  if (agent.bootId !== bootId || agent.stream === stream) return false;
  const { formerStreams = [] } = agent;
  const isFormer = (one: string): boolean => formerStreams.some((former) => former === one);
  return isFormer(stream) && !isFormer(agent.stream);
}

/** Whether a former boot or stream is back: then two senders take turns. */
function isBack(agent: AgentFact, { bootId, stream }: Sender): boolean {
  if (agent.bootId !== bootId) return isFormerBoot(agent, bootId);
  return agent.stream !== stream && agent.formerStreams?.some((one) => one === stream) === true;
}

/** A second sender that was silent for so long is no longer expected. */
const SHARED_MS = 24 * 3_600_000;

/**
 * Whether two senders use the node's credential, which was made at `madeAt`. The next one would go
 * to whichever reports first.
 */
export function isShared(agent: AgentFact | null, madeAt: number, now: number): boolean {
  const at = agent?.sharedAt;
  return at !== undefined && at >= madeAt && now - at < SHARED_MS;
}

/** What a person does then: a new credential alone would go to whichever reports first. */
export function endBoth(node: string): string {
  const again = `let the machine join again with \`navarch join-token create --node ${node}\``;
  return `end both with \`navarch token revoke node:${node}\`, and ${again}`;
}

type Sender = { bootId: string; stream: string };

/** What is kept of earlier senders, newest first; includes the current one once it has returned. */
export function formerSenders(
  before: AgentFact | null,
  sender: Sender,
  at: number,
): Pick<AgentFact, "formerBoots" | "formerStreams" | "sharedAt"> {
  if (before === null) return {};
  const { bootId, stream } = sender;
  const sharedAt = isBack(before, sender) ? at : before.sharedAt;
  const boots = formerOf(before.formerBoots, before.bootId, bootId);
  const streams = formerOf(before.formerStreams, before.stream, stream);
  return {
    ...(boots.length === 0 ? {} : { formerBoots: boots }),
    ...(streams.length === 0 ? {} : { formerStreams: streams }),
    ...(sharedAt === undefined ? {} : { sharedAt }),
  };
}

function formerOf<T extends string>(known: readonly T[] = [], before: T, now: string): T[] {
  if (before === now) return [...known];
  return [before, ...known.filter((one) => one !== before)].slice(0, LIMIT.formerBootsMax);
}
