/**
 * `navarch pool hold`: nothing is replaced, bought or scaled in one pool, for a while.
 */
import type { PoolStatusView } from "../../schema/api.ts";
import type { Command } from "../command.ts";
import { poolPath, suggestPool } from "../lookup.ts";
import { FOR, formatHold, readVeto, WHY } from "../veto.ts";

export const poolHold: Command = {
  name: ["pool", "hold"],
  usage: "<pool> --reason WHY [--for 24h]",
  summary: "pause automation in one pool for a while",
  examples: ["navarch pool hold training --for 4h --reason 'network work'"],
  more:
    "Nothing is replaced, created or scaled in the pool; unhealthy nodes are still cordoned. It\n" +
    "ends after --for (default 24h), or with navarch pool resume.",
  flags: [WHY, FOR],
  words: { min: 1, max: 1 },
  reach: "online",
  async run(context, client) {
    const [name = ""] = context.words;
    const veto = readVeto(context.flags, "pool hold");
    if (!veto.ok) return veto;
    const path = `${poolPath(name)}/hold`;
    const answer = await client.send<PoolStatusView>("PUT", path, ["total_nodes"], veto.body);
    if (!answer.ok) return suggestPool(client, name, answer);
    const { hold } = answer.value;
    const how = hold === null || hold === undefined ? "" : ` ${formatHold(hold)}`;
    return {
      data: answer.value,
      names: [name],
      human: () => `Pool ${name} is held${how}\n`,
    };
  },
};
