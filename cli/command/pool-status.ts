/**
 * `navarch pool status`: the size of one pool and why it is not another one.
 */
import type { PoolStatusView } from "../../schema/api.ts";
import type { Command } from "../command.ts";
import { EXIT } from "../failure.ts";
import { poolPath, suggestPool } from "../lookup.ts";
import { printPoolStatus } from "../pool-view.ts";
import { show } from "../show.ts";

export const poolStatus: Command = {
  name: ["pool", "status"],
  usage: "<pool>",
  summary: "show one pool, and why it cannot scale",
  flags: [],
  words: { min: 1, max: 1 },
  reach: "online",
  async run(context, client) {
    const [name = ""] = context.words;
    const answer = await client.get<PoolStatusView>(`${poolPath(name)}/status`, ["total_nodes"]);
    if (!answer.ok) return suggestPool(client, name, answer);
    const { value: status, nowMs } = answer;
    await show(context, {
      data: status,
      names: [status.name],
      human: (_wide, style) => printPoolStatus(status, nowMs, style),
    });
    return EXIT.done;
  },
};
