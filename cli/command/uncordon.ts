/**
 * `navarch uncordon`: a node may take work again.
 */
import type { Command } from "../command.ts";
import { FORCE, IDS_MAX, orderAll, REASON } from "../order.ts";

export const uncordon: Command = {
  name: ["uncordon"],
  usage: "<id>…",
  summary: "let nodes take work again",
  examples: ["navarch uncordon gpu-7"],
  more: "Also cancels a drain. An unhealthy node requires --force and --reason.",
  flags: [REASON, FORCE],
  words: { min: 1, max: IDS_MAX },
  reach: "online",
  run: (context, client) => {
    const body = context.flags.on("force") ? { force: true } : {};
    const order = { type: "uncordon", done: "uncordoned", body, warnStale: true } as const;
    return orderAll(context, client, order);
  },
};
