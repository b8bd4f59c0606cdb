/** `navarch config reload`: makes the control plane read its configuration files again. */
import type { ReloadView } from "../../schema/api-config.ts";
import type { Command } from "../command.ts";
import { formatReload } from "../config-diff-view.ts";
import { switchFlag } from "../flag.ts";

export const configReload: Command = {
  name: ["config", "reload"],
  usage: "",
  summary: "make the control plane read its configuration again",
  examples: ["navarch config reload", "navarch config reload --allow-pool-removal"],
  more:
    "The same as SIGHUP, and as a change of the files, which is noticed within seconds; the\n" +
    "answer says what happened. Wrong files change nothing (exit 2). Pools that have nodes and\n" +
    "are missing from the files are refused (exit 6), unless --allow-pool-removal permits it:\n" +
    "then their nodes are drained and terminated. navarch config diff shows it before.",
  flags: [switchFlag("allow-pool-removal", "end the nodes of pools that the files lack")],
  words: { min: 0, max: 0 },
  reach: "online",
  async run({ flags }, client) {
    const body = flags.on("allow-pool-removal") ? { allow_pool_removal: true } : {};
    const keys = ["outcome", "hash", "restart", "warnings"];
    const answer = await client.send<ReloadView>("POST", "/config/reload", keys, body);
    if (!answer.ok) return answer;
    const { value } = answer;
    return { data: value, names: [value.outcome], human: () => formatReload(value) };
  },
};
