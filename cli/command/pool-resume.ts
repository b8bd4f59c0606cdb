/**
 * `navarch pool resume`: resumes automation of one pool. Without a hold nothing changes.
 */
import type { PoolStatusView } from "../../schema/api.ts";
import type { Command } from "../command.ts";
import { poolPath, suggestPool } from "../lookup.ts";
import { REASON } from "../order.ts";

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
