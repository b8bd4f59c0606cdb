/** From an order to its answer: whatever happens in between, there is one. */
import { expect, test } from "bun:test";
import type { BootId, CommandId } from "../../schema/id.ts";
import type { AgentCommand, CommandResult } from "../../schema/report.ts";
import { carryOut, type CarryParts } from "./carry.ts";
import { Orders } from "../command/order.ts";

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
      guard: { judge: () => null, noteRefusal: () => true },
      check: () => Promise.reject(new Error("not asked")),
      runCommand: null,
      upgrade: null,
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

test("an order for a machine that became another node is not older than its own fence", () => {
  let stored = "";
  const save = (text: string): void => void (stored = text);
  const boot = "boot-1" as BootId;
  const order = (id: string, fence: number): AgentCommand => {
    return { command_id: id as CommandId, type: "reboot", parameters: {}, fence };
  };
  expect(new Orders(null, boot, save, "n1").admit(order("a", 9)).kind).toBe("run");
  expect(new Orders(stored, boot, save, "n1").admit(order("b", 3))).toMatchObject({
    kind: "answer",
    result: { outcome: "rejected", output: "fence 3 is older than 9" },
  });
  expect(new Orders(stored, boot, save, "n2").admit(order("b", 3)).kind).toBe("run");
});

test("carryOut() leaves no trace of an order that proves nothing, and answers it once", async () => {
  const saved: string[] = [];
  const answers: CommandResult[] = [];
  let noted = 0;
  const parts: CarryParts = {
    orders: new Orders(null, "boot-1" as BootId, (text) => void saved.push(text)),
    guard: {
      judge: ({ fence }) => (fence > 1 ? "forged" : null),
      noteRefusal: () => ++noted === 1,
    },
    check: () => Promise.reject(new Error("no probe")),
    runCommand: () => Promise.reject(new Error("carried out")),
    upgrade: null,
    answer: (result) => answers.push(result),
    log: () => undefined,
  };
  const forged = { ...command("reboot"), fence: 9_007_199_254_740_991 };
  await carryOut(forged, parts);
  await carryOut(forged, parts);
  expect(answers).toEqual([
    {
      command_id: "c1" as CommandId,
      outcome: "rejected",
      exit_code: null,
      output: "refused: forged",
    },
  ]);
  expect(saved).toEqual([]);
  // The real order of that id, with the fence of now, is neither shut out nor taken for answered.
  await carryOut(command("reboot"), parts);
  expect(answers[1]?.output).toContain("carried out");
});

test("a result that was not delivered when the machine went down is delivered after it", async () => {
  let stored = "";
  const save = (text: string) => void (stored = text);
  const orders = new Orders(null, "boot-1" as BootId, save);
  const answers: CommandResult[] = [];
  const done = { command_id: "c1" as CommandId, outcome: "succeeded", exit_code: 0, output: "" };
  await carryOut(command("reboot"), {
    orders,
    guard: { judge: () => null, noteRefusal: () => true },
    check: () => Promise.reject(new Error("not asked")),
    runCommand: () => Promise.resolve(done as CommandResult),
    upgrade: null,
    answer: (result) => answers.push(result),
    log: () => undefined,
  });
  const next = new Orders(stored, "boot-2" as BootId, save);
  const owed = next.recover();
  expect(owed).toEqual([done as CommandResult]);
  // The process may end once more before anybody hears.
  expect(new Orders(stored, "boot-2" as BootId, save).recover()).toEqual(owed);
  next.delivered(owed);
  expect(new Orders(stored, "boot-2" as BootId, save).recover()).toEqual([]);
});
