/**
 * `navarch terminate`: ends a node's instance, drained first.
 */
import type { Command } from "../command.ts";
import { switchFlag } from "../flag.ts";
import { confirm, DRY_RUN, FORCE, IDS_MAX, orderAll, REASON } from "../order.ts";

export const terminate: Command = {
  name: ["terminate"],
  usage: "<id>…",
  summary: "drain nodes and end their instances",
  examples: ["navarch terminate gpu-7 --reason 'no longer needed'"],
  more: "The pool keeps its size: a terminated node is replaced unless the pool was scaled down.",
  flags: [
    REASON,
    { ...FORCE, help: "skip the drain; requires --reason" },
    switchFlag("yes", "skip the confirmation"),
    DRY_RUN,
  ],
  words: { min: 1, max: IDS_MAX },
  reach: "online",
  async run(context, client) {
    const { flags, words } = context;
    const refused = confirm(context, `Terminate ${words.join(", ")}?`);
    if (refused !== null) return refused;
    const body = { force: flags.on("force"), dry_run: flags.on("dry-run") };
    const order = { type: "terminate", done: "terminating", body, warnStale: false } as const;
    return orderAll(context, client, order);
  },
};
