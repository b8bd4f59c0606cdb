/**
 * `navarch token revoke`: ends a token at once.
 */
import type { TokenView } from "../../schema/credential.ts";
import type { Command } from "../command.ts";
import { plain } from "../table.ts";

export const tokenRevoke: Command = {
  name: ["token", "revoke"],
  usage: "<id>",
  summary: "revoke a token",
  examples: ["navarch token revoke t-1"],
  flags: [],
  words: { min: 1, max: 1 },
  reach: "online",
  async run(context, client) {
    const [id = ""] = context.words;
    const path = `/tokens/${encodeURIComponent(id)}`;
    const answer = await client.send<TokenView>("DELETE", path, ["id"]);
    if (!answer.ok) return answer;
    const { value } = answer;
    const human = () => `Token ${plain(value.id)} revoked\n`;
    return { data: value, names: [value.id], human };
  },
};
