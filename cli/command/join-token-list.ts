/**
 * `navarch join-token list`: who may still join, and what was used up.
 */
import type { JoinTokenView } from "../../schema/join.ts";
import { formatTime } from "../age.ts";
import type { Command } from "../command.ts";
import { formatTable } from "../table.ts";

const HEAD = ["ID", "Pool", "Node ID", "State", "Uses", "Label", "Created", "Expires"];

export const joinTokenList: Command = {
  name: ["join-token", "list"],
  usage: "",
  summary: "list join tokens, without their secrets",
  examples: ["navarch join-token list"],
  flags: [],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(_context, client) {
    const answer = await client.get<{ join_tokens: JoinTokenView[] }>("/join-tokens", [
      "join_tokens",
    ]);
    if (!answer.ok) return answer;
    const { join_tokens: tokens } = answer.value;
    const rows = tokens.map((one) => [
      one.id,
      one.pool,
      one.node_id ?? "",
      one.state,
      `${one.uses}/${one.uses_max}`,
      one.label,
      formatTime(one.created_at),
      formatTime(one.expires_at),
    ]);
    return {
      data: tokens,
      names: tokens.map((one) => one.id),
      human: (_wide, style) => formatTable(HEAD, rows, style),
      empty: "No join tokens found",
    };
  },
};
