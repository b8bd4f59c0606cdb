/**
 * `navarch pool hold` pauses automation in one pool; `navarch pool resume` ends the hold.
 */
import type { PoolStatusView } from "../../schema/api.ts";
import type { Command } from "../command.ts";
import { poolPath, suggestPool } from "../lookup.ts";
import { REASON } from "../order.ts";
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

export const poolResume: Command = {
  name: ["pool", "resume"],
  usage: "<pool>",
  summary: "end a hold: resume automation of the pool",
  examples: ["navarch pool resume training"],
  flags: [REASON],
  words: { min: 1, max: 1 },
  reach: "online",
  async run(context, client) {
    const [name = ""] = context.words;
    const reason = context.flags.text("reason");
    const body = reason === null ? {} : { reason };
    const path = `${poolPath(name)}/hold`;
    const keys = ["total_nodes"];
    const answer = await client.send<PoolStatusView & { was_held: boolean }>(
      "DELETE",
      path,
      keys,
      body,
    );
    if (!answer.ok) return suggestPool(client, name, answer);
    const was = answer.value.was_held;
    return {
      data: answer.value,
      names: [name],
      human: () => (was ? `Pool ${name} resumed\n` : `Pool ${name} was not held\n`),
    };
  },
};
