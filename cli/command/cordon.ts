/**
 * `navarch cordon` keeps new work away from nodes, and `navarch uncordon` lets them take it again.
 */
import type { Command } from "../command.ts";
import { FORCE, IDS_MAX, orderAll, REASON } from "../order.ts";

export const cordon: Command = {
  name: ["cordon"],
  usage: "<id>…",
  summary: "keep new work away from nodes",
  examples: ["navarch cordon gpu-7 gpu-8 --reason 'replacing a switch'"],
  more: "A cordon set by a person stays until a person lifts it with uncordon.",
  flags: [REASON],
  words: { min: 1, max: IDS_MAX },
  reach: "online",
  run: (context, client) =>
    orderAll(context, client, { type: "cordon", done: "cordoned", body: {}, warnStale: true }),
};

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
