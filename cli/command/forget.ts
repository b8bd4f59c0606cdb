/** `navarch forget`: removes the records of unmanaged machines that are gone. */
import type { Command } from "../command.ts";
import { EXIT, type Failure } from "../failure.ts";
import { getNode, nodePath } from "../lookup.ts";
import { IDS_MAX, REASON } from "../order.ts";
import { sayFailure, show } from "../show.ts";

export const forget: Command = {
  name: ["forget"],
  usage: "<id>…",
  summary: "remove the record of a machine that is gone",
  examples: ["navarch forget gpu-7"],
  more:
    "Refused while its agent reports, and for machines that Navarch bought: terminate those.\n" +
    "A machine whose agent reports again gets a new record.",
  flags: [REASON],
  words: { min: 1, max: IDS_MAX },
  reach: "online",
  async run(context, client) {
    const reason = (context.flags.text("reason") ?? "").trim();
    const failures: Failure[] = [];
    for (const id of new Set(context.words)) {
      const node = await getNode(client, id);
      const answer = node.ok
        ? await client.send<{ node_id: string }>(
            "DELETE",
            nodePath(node.value.node_id),
            ["node_id"],
            reason === "" ? {} : { reason },
          )
        : node;
      if (!answer.ok) {
        failures.push(answer);
        continue;
      }
      const human = () => `Node ${answer.value.node_id} forgotten\n`;
      await show(context, { data: answer.value, names: [answer.value.node_id], human });
    }
    const [first, ...rest] = failures;
    for (const one of rest) sayFailure(context.world, context.format, one);
    return first ?? EXIT.done;
  },
};
