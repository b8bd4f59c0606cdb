/**
 * `navarch unfreeze`: ends a freeze. Without a freeze nothing changes.
 */
import type { Command } from "../command.ts";
import { REASON } from "../order.ts";

export const unfreeze: Command = {
  name: ["unfreeze"],
  usage: "",
  summary: "end a freeze",
  examples: ["navarch unfreeze"],
  flags: [REASON],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const reason = context.flags.text("reason");
    const body = reason === null ? {} : { reason };
    const path = "/safety/freeze";
    const answer = await client.send<{ was_frozen: boolean }>("DELETE", path, ["frozen"], body);
    if (!answer.ok) return answer;
    const was = answer.value.was_frozen;
    return {
      data: answer.value,
      names: ["unfrozen"],
      human: () => (was ? "Fleet unfrozen\n" : "The fleet was not frozen\n"),
    };
  },
};
