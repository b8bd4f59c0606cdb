/**
 * `navarch freeze` pauses irreversible actions of automation fleet-wide; `navarch unfreeze`
 * ends that.
 */
import type { HoldView } from "../../schema/api.ts";
import type { Command } from "../command.ts";
import { REASON } from "../order.ts";
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

export const unfreeze: Command = {
  name: ["unfreeze"],
  usage: "",
  summary: "end a freeze",
  examples: ["navarch unfreeze"],
  flags: [REASON],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const reason = context.flags.text("reason");
    const body = reason === null ? {} : { reason };
    const path = "/safety/freeze";
    const answer = await client.send<{ was_frozen: boolean }>("DELETE", path, ["frozen"], body);
    if (!answer.ok) return answer;
    const was = answer.value.was_frozen;
    return {
      data: answer.value,
      names: ["unfrozen"],
      human: () => (was ? "Fleet unfrozen\n" : "The fleet was not frozen\n"),
    };
  },
};
