/** `navarch config status`: which configuration is in force, and why a newer one is not. */
import type { ConfigStatusView } from "../../schema/api-config.ts";
import type { Command } from "../command.ts";
import { formatLabels, type Style } from "../table.ts";

export const configStatus: Command = {
  name: ["config", "status"],
  usage: "",
  summary: "show which configuration is in force",
  examples: ["navarch config status"],
  more: "With several control planes it is that of the one that answers.",
  flags: [],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(_context, client) {
    const keys = ["files", "hash", "stale", "removing", "orphaned"];
    const answer = await client.get<ConfigStatusView>("/config/status", keys);
    if (!answer.ok) return answer;
    const { value } = answer;
    return {
      data: value,
      names: [value.hash],
      human: (_wide, style) => formatStatus(value, style),
    };
  },
};

function formatStatus(view: ConfigStatusView, style: Style): string {
  const { last } = view;
  const pairs: [string, string][] = [
    ["Configuration", view.hash],
    ["Health policy", view.policy],
    ["In force since", view.since],
    ["Files", view.files.join(", ")],
    ["Files in force", view.stale ? "no" : "yes"],
  ];
  if (last !== null) pairs.push(["Last reload", `${last.outcome} at ${last.at} by ${last.by}`]);
  for (const problem of last?.problems ?? []) pairs.push(["Problem", problem]);
  for (const key of last?.restart ?? []) pairs.push(["Takes a restart", key]);
  for (const { pool, by, nodes } of view.removing) {
    const left = nodes === 1 ? "1 node is" : `${nodes} nodes are`;
    pairs.push(["Being removed", `pool ${pool} (by ${by}): ${left} left`]);
  }
  for (const { message } of view.orphaned) pairs.push(["Not in the files", message]);
  return formatLabels(pairs, style);
}
