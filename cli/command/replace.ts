/**
 * `navarch replace`: the whole replacement of a node, as a hardware fault would start it.
 */
import type { Command } from "../command.ts";
import { switchFlag } from "../flag.ts";
import { confirm, DRY_RUN, FORCE, IDS_MAX, orderAll, REASON } from "../order.ts";

export const replace: Command = {
  name: ["replace"],
  usage: "<id>…",
  summary: "replace nodes: cordon, drain, terminate, create",
  examples: ["navarch replace gpu-7 --reason 'NVLink errors'"],
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
    const refused = confirm(context, `Replace ${words.join(", ")}?`);
    if (refused !== null) return refused;
    const body = { force: flags.on("force"), dry_run: flags.on("dry-run") };
    const order = { type: "replace", done: "replacing", body, warnStale: false } as const;
    return orderAll(context, client, order);
  },
};
