/**
 * `navarch agentpool list|get|describe`: pools of worker pods, and why one does not grow.
 */
import type { AgentPoolSummary, AgentPoolView } from "../../schema/agentpool-view.ts";
import { agentPoolPath, NAMESPACE, readPoolName } from "../agentpool-name.ts";
import { formatAgentPool, formatAgentPools, keyOf } from "../agentpool-view.ts";
import type { Client } from "../client.ts";
import type { Command, Context, Outcome } from "../command.ts";
import { WATCH_FLAG } from "../watch.ts";

export const agentPoolList: Command = {
  name: ["agentpool", "list"],
  usage: "",
  summary: "list AgentPools",
  examples: ["navarch agentpool list", "navarch agentpool list -n team-a -o wide"],
  flags: [{ ...NAMESPACE, help: "only this namespace (default all)" }, WATCH_FLAG],
  words: { min: 0, max: 0 },
  reach: "online",
  async run({ flags }, client) {
    const answer = await client.get<{ pools: AgentPoolSummary[] }>("/agentpools", ["pools"]);
    if (!answer.ok) return answer;
    const namespace = flags.text("namespace");
    const pools = answer.value.pools.filter((one) => {
      return namespace === null || one.namespace === namespace;
    });
    return {
      data: pools,
      names: pools.map(keyOf),
      human: (wide, style) => formatAgentPools(pools, wide, style),
      empty: "No AgentPools found",
    };
  },
};

export const agentPoolGet: Command = {
  name: ["agentpool", "get"],
  usage: "<agentpool>",
  summary: "show one AgentPool and its workers",
  examples: ["navarch agentpool get gpu-pool", "navarch agentpool get team-a/gpu-pool -o json"],
  flags: [NAMESPACE, WATCH_FLAG],
  words: { min: 1, max: 1 },
  reach: "online",
  run: (context, client) => showPool(context, client, false),
};

export const agentPoolDescribe: Command = {
  name: ["agentpool", "describe"],
  usage: "<agentpool>",
  summary: "show one AgentPool, and why it does not grow",
  examples: ["navarch agentpool describe gpu-pool", "navarch agentpool describe team-a/gpu-pool"],
  more:
    "Adds settings, conditions and claims to what get shows. The events of the AgentPool are in\n" +
    "kubectl describe agentpool NAME; navarch doctor agentpool NAME checks what it needs.",
  flags: [NAMESPACE],
  words: { min: 1, max: 1 },
  reach: "online",
  run: (context, client) => showPool(context, client, true),
};

async function showPool({ flags, words }: Context, client: Client, whole: boolean): Outcome {
  const name = readPoolName(flags, words[0] ?? "");
  if (!name.ok) return name;
  const answer = await client.get<AgentPoolView>(agentPoolPath(name), ["worker_list"]);
  if (!answer.ok) return answer;
  const { value: pool, nowMs } = answer;
  return {
    data: pool,
    names: [keyOf(pool)],
    human: (_wide, style) => formatAgentPool(pool, nowMs, { style, whole }),
  };
}
