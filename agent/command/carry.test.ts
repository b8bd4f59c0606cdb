/** From an order to its answer: whatever happens in between, there is one. */
import { expect, test } from "bun:test";
import type { BootId, CommandId } from "../../schema/id.ts";
import type { AgentCommand, CommandResult } from "../../schema/report.ts";
import { carryOut, type CarryParts } from "./carry.ts";
import { Orders } from "./order.ts";

const command = (type: AgentCommand["type"]): AgentCommand => {
  return { command_id: "c1" as CommandId, type, parameters: {}, fence: 1 };
};

const doings: [AgentCommand["type"], Partial<CarryParts>][] = [
  ["upgrade", { upgrade: () => Promise.reject(new Error("Invalid SemVer")) }],
  [
    "reboot",
    {
      runCommand: () => {
        throw new Error("no such program");
      },
    },
  ],
  ["diagnose", { check: () => Promise.reject(new Error("no probe")) }],
];

test.each(doings)(
  "carryOut() answers a %s that throws, and again if asked again",
  async (type, does) => {
    const answers: CommandResult[] = [];
    const logged: string[] = [];
    const parts: CarryParts = {
      orders: new Orders(null, "boot-1" as BootId, () => undefined),
      check: () => Promise.reject(new Error("not asked")),
      runCommand: null,
      answer: (result) => answers.push(result),
      log: (level, message) => void logged.push(`${level} ${message}`),
      ...does,
    };
    await carryOut(command(type), parts);
    await carryOut(command(type), parts);
    expect(answers).toHaveLength(2);
    expect(answers[0]).toMatchObject({
      command_id: "c1",
      outcome: "failed",
      output: expect.stringContaining("a fault in the agent: Error: "),
    });
    expect(answers[1]).toEqual(answers[0]);
    expect(logged).toContain("error command threw");
  },
);
