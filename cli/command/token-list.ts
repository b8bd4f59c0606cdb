/**
 * `navarch token list`: who may speak.
 */
import type { TokenView } from "../../schema/credential.ts";
import type { Command } from "../command.ts";
import { formatTokens } from "../token-view.ts";

export const tokenList: Command = {
  name: ["token", "list"],
  usage: "",
  summary: "list tokens, without their secrets",
  examples: ["navarch token list"],
  flags: [],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(_context, client) {
    const answer = await client.get<{ tokens: TokenView[] }>("/tokens", ["tokens"]);
    if (!answer.ok) return answer;
    const { tokens } = answer.value;
    return {
      data: tokens,
      names: tokens.map((token) => token.id),
      human: (_wide, style) => formatTokens(tokens, style),
      empty: "No tokens found",
    };
  },
};
