/**
 * `navarch freeze` pauses irreversible actions of automation fleet-wide; `navarch unfreeze`
 * ends that.
 */
import type { FreezeView } from "../../schema/api.ts";
import { sayFreezeEffect } from "../../schema/safety.ts";
import type { Command } from "../command.ts";
import { switchFlag } from "../flag.ts";
import { REASON } from "../order.ts";
import { FOR, formatHold, readVeto, WHY } from "../veto.ts";

const ALL = switchFlag("all", "stop cordons of definitive faults too");

export const freeze: Command = {
  name: ["freeze"],
  usage: "--reason WHY [--for DURATION] [--all]",
  summary: "pause irreversible actions fleet-wide",
  examples: ["navarch freeze --for 2h --reason 'cloud incident'"],
  more:
    "Until navarch unfreeze, or until --for has passed:\n" +
    `${sayFreezeEffect(false).replace("; ", ";\n")}\n` +
    "Commands by people are carried out, and nodes are still watched.",
  flags: [WHY, FOR, ALL],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const veto = readVeto(context.flags, "freeze");
    if (!veto.ok) return veto;
    const path = "/safety/freeze";
    const body = { ...veto.body, ...(context.flags.on("all") ? { all: true } : {}) };
    const answer = await client.send<{ frozen: FreezeView }>("PUT", path, ["frozen"], body);
    if (!answer.ok) return answer;
    const { frozen } = answer.value;
    return {
      data: answer.value,
      names: ["frozen"],
      human: () => `The fleet is frozen ${formatHold(frozen)}\n${frozen.effect}\n`,
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
