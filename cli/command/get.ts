/**
 * `navarch get`: shows one node.
 */
import type { Command } from "../command.ts";
import { getNode } from "../lookup.ts";
import { formatNode } from "../node-view.ts";
import { WATCH_FLAG } from "../watch.ts";

export const get: Command = {
  name: ["get"],
  usage: "<id>",
  summary: "show one node",
  examples: ["navarch get gpu-7", "navarch get gpu-7 -o yaml"],
  more: "<id> is the node's id, its instance's id or its name in Kubernetes or Slurm.",
  flags: [WATCH_FLAG],
  words: { min: 1, max: 1 },
  reach: "online",
  async run(context, client) {
    const [id = ""] = context.words;
    const answer = await getNode(client, id);
    if (!answer.ok) return answer;
    const { value: node, nowMs } = answer;
    return {
      data: node,
      names: [node.node_id],
      human: (_wide, style) => formatNode(node, nowMs, style),
    };
  },
};
