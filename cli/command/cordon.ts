/**
 * `navarch cordon`: no new work for a node.
 */
import type { Command } from "../command.ts";
import { IDS_MAX, orderAll, REASON } from "../order.ts";

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
