/**
 * `navarch pool status`: shows one pool and why it cannot scale; `--members` lists its members.
 */
import type { PoolStatusView } from "../../schema/api.ts";
import type { MembersView } from "../../reconciler/http/view/member.ts";
import type { Client } from "../client.ts";
import type { Command, Outcome } from "../command.ts";
import { switchFlag } from "../flag.ts";
import { poolPath, suggestPool } from "../lookup.ts";
import { formatMembers, formatPoolStatus } from "../pool-view.ts";
import { WATCH_FLAG } from "../watch.ts";

export const poolStatus: Command = {
  name: ["pool", "status"],
  usage: "<pool>",
  summary: "show one pool, and why it cannot scale",
  examples: ["navarch pool status training", "navarch pool status training --members"],
  flags: [
    switchFlag("members", "show the target and each counted node, as autoscalers see them"),
    WATCH_FLAG,
  ],
  words: { min: 1, max: 1 },
  reach: "online",
  async run(context, client) {
    const [name = ""] = context.words;
    if (context.flags.on("members")) return showMembers(client, name);
    const answer = await client.get<PoolStatusView>(`${poolPath(name)}/status`, ["total_nodes"]);
    if (!answer.ok) return suggestPool(client, name, answer);
    const { value: status, nowMs } = answer;
    return {
      data: status,
      names: [status.name],
      human: (_wide, style) => formatPoolStatus(status, nowMs, style),
    };
  },
};

async function showMembers(client: Client, name: string): Outcome {
  const answer = await client.get<MembersView>(`${poolPath(name)}/members`, ["target", "members"]);
  if (!answer.ok) return suggestPool(client, name, answer);
  const { value } = answer;
  return {
    data: value,
    names: value.members.map((one) => one.node_id),
    human: (_wide, style) => formatMembers(value, answer.nowMs, style),
  };
}
