/** `navarch upgrade status`: how far the newest upgrade of agents is, node by node. */
import type { UpgradeView } from "../../schema/upgrade.ts";
import type { Command } from "../command.ts";
import { formatUpgrade } from "../upgrade-view.ts";
import { WATCH_FLAG } from "../watch.ts";

export const upgradeStatus: Command = {
  name: ["upgrade", "status"],
  usage: "",
  summary: "show the progress of the newest agent upgrade",
  examples: ["navarch upgrade status"],
  flags: [WATCH_FLAG],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(_context, client) {
    const answer = await client.get<UpgradeView>("/upgrade", ["upgrade"]);
    if (!answer.ok) return answer;
    const { value, nowMs } = answer;
    return {
      data: value,
      names: (value.upgrade?.nodes ?? []).map((node) => node.node_id),
      human: (_wide, style) => formatUpgrade(value, nowMs, style),
    };
  },
};
