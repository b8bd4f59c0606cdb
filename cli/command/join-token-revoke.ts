/**
 * `navarch join-token revoke`: nobody joins with it any more; who has joined stays.
 */
import type { JoinTokenView } from "../../schema/join.ts";
import type { Command } from "../command.ts";
import { plain } from "../table.ts";

export const joinTokenRevoke: Command = {
  name: ["join-token", "revoke"],
  usage: "<id>",
  summary: "revoke a join token; joined machines stay",
  examples: ["navarch join-token revoke j-1"],
  flags: [],
  words: { min: 1, max: 1 },
  reach: "online",
  async run(context, client) {
    const [id = ""] = context.words;
    const path = `/join-tokens/${encodeURIComponent(id)}`;
    const answer = await client.send<JoinTokenView>("DELETE", path, ["id"]);
    if (!answer.ok) return answer;
    const { value } = answer;
    const human = () => `Join token ${plain(value.id)} revoked\n`;
    return { data: value, names: [value.id], human };
  },
};
