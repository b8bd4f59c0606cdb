/**
 * `navarch freeze`: nothing that cannot be taken back is started by itself, in the whole fleet.
 */
import type { HoldView } from "../../schema/api.ts";
import type { Command } from "../command.ts";
import { FOR, formatHold, readVeto, WHY } from "../veto.ts";

export const freeze: Command = {
  name: ["freeze"],
  usage: "--reason WHY [--for DURATION]",
  summary: "pause irreversible actions fleet-wide",
  examples: ["navarch freeze --for 2h --reason 'cloud incident'"],
  more:
    "Automation cordons, drains, terminates and creates nothing until navarch unfreeze, or\n" +
    "until --for has passed. Commands by people are carried out, and nodes are still watched.",
  flags: [WHY, FOR],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const veto = readVeto(context.flags, "freeze");
    if (!veto.ok) return veto;
    const path = "/safety/freeze";
    const answer = await client.send<{ frozen: HoldView }>("PUT", path, ["frozen"], veto.body);
    if (!answer.ok) return answer;
    const { frozen } = answer.value;
    return {
      data: answer.value,
      names: ["frozen"],
      human: () => `The fleet is frozen ${formatHold(frozen)}\n`,
    };
  },
};
