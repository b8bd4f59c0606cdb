/** `navarch upgrade stop`: no further agent is told; with `--rollback` those that were go back. */
import type { UpgradeView } from "../../schema/upgrade.ts";
import type { Command } from "../command.ts";
import { switchFlag } from "../flag.ts";
import { REASON } from "../order.ts";
import { formatUpgrade } from "../upgrade-view.ts";

export const upgradeStop: Command = {
  name: ["upgrade", "stop"],
  usage: "[--rollback]",
  summary: "stop the upgrade of agents",
  examples: ["navarch upgrade stop --rollback"],
  more: "Upgraded agents keep the new release unless --rollback is given, now or later.",
  flags: [
    switchFlag("rollback", "return upgraded agents to the old release"),
    REASON,
  ],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const { flags } = context;
    const answer = await client.send<UpgradeView>("DELETE", "/upgrade", ["upgrade"], {
      reason: flags.text("reason") ?? "",
      rollback: flags.on("rollback"),
    });
    if (!answer.ok) return answer;
    const { value, nowMs } = answer;
    return {
      data: value,
      names: (value.upgrade?.nodes ?? []).map((node) => node.node_id),
      human: (_wide, style) => formatUpgrade(value, nowMs, style),
    };
  },
};
