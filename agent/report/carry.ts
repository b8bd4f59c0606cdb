/**
 * Carries out an order: verifies it, admits it once, runs it, stores and reports the result. A
 * diagnosis is a full check; `run.ts` changes the machine, if that is enabled. An order without
 * valid proof is only counted: its fence and id would block real orders.
 */
import type { AgentCommand, CommandResult } from "../../schema/report.ts";
import type { AgentParts, Log, OrderGuard } from "./part.ts";
import type { ProbeRound } from "../probe/run.ts";
import { type Orders, resultOf } from "../command/order.ts";

export type CarryParts = {
  orders: Orders;
  guard: Pick<OrderGuard, "judge" | "noteRefusal">;
  /** One full check, now. */
  check: () => Promise<ProbeRound>;
  runCommand: AgentParts["runCommand"];
  upgrade: AgentParts["upgrade"];
  answer: (result: CommandResult) => void;
  log: Log;
};

/** Never rejects; a command that is running is not started again. */
export async function carryOut(command: AgentCommand, parts: CarryParts): Promise<void> {
  const { answer, guard, log, orders } = parts;
  const unproven = guard.judge(command);
  if (unproven !== null) {
    if (!guard.noteRefusal(command, unproven)) return;
    return answer(resultOf(command.command_id, "rejected", `refused: ${unproven}`, null));
  }
  const admission = orders.admit(command);
  if (admission.kind === "running") return;
  if (admission.kind === "answer") return answer(admission.result);
  log("info", "command", { command_id: command.command_id, type: command.type });
  const result = await resultFrom(command, parts).catch((cause: unknown) => {
    const why = `a fault in the agent: ${String(cause)}`;
    log("error", "command threw", { command_id: command.command_id, error: String(cause) });
    return resultOf(command.command_id, "failed", why, null);
  });
  orders.finish(result);
  log("info", "command done", { command_id: command.command_id, outcome: result.outcome });
  answer(result);
}

async function resultFrom(command: AgentCommand, parts: CarryParts): Promise<CommandResult> {
  const id = command.command_id;
  if (command.type === "upgrade") {
    if (parts.upgrade) return await parts.upgrade(command);
    const why = "not a compiled agent under a service manager: nothing would start it again";
    return resultOf(id, "rejected", why, null);
  }
  if (command.type !== "diagnose") {
    if (parts.runCommand) return await parts.runCommand(command);
    return resultOf(id, "rejected", `${command.type} is not enabled on this node`, null);
  }
  const { active, conclusive, expected, present, results } = await parts.check();
  const shown = {
    conclusive,
    present_gpus: present,
    expected_gpus: expected,
    active,
    probes: results,
  };
  return resultOf(id, "succeeded", JSON.stringify(shown), 0);
}
