/**
 * `navarch token rotate`: a node gets another credential with its next report.
 */
import type { TokenView } from "../../schema/credential.ts";
import type { Command } from "../command.ts";
import { usage } from "../failure.ts";
import { textFlag } from "../flag.ts";

export const tokenRotate: Command = {
  name: ["token", "rotate"],
  usage: "--node ID",
  summary: "give a node a new credential",
  examples: ["navarch token rotate --node gpu-7"],
  more:
    "It is sent with the answer to the node's next report. Older credentials end when it is\n" +
    "used, and after an hour in any case. Each credential is also rotated daily.\n" +
    "To revoke a node's access at once: navarch token revoke node:ID",
  flags: [
    textFlag("node", "ID", "node to give a new credential (required)"),
  ],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const node = context.flags.text("node");
    if (node === null) return usage("token rotate needs --node");
    const path = `/tokens/${encodeURIComponent(`node:${node}`)}/rotate`;
    const answer = await client.send<TokenView>("POST", path, ["id"], {});
    if (!answer.ok) return answer;
    const { value } = answer;
    const human = () =>
      `Node ${node}: credential ${value.rotation ?? ""} comes with its next report\n`;
    return { data: value, names: [value.id], human };
  },
};
