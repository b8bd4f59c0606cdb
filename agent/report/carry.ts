/**
 * From an ordered command to its answer: verified, admitted once, carried out, noted, reported. A
 * diagnosis is a full check; what changes the machine is done by `run.ts`, if at all. An order that
 * proves nothing leaves no trace but a count: its fence and its id would shut out real ones.
 */
import type { AgentCommand, CommandResult } from "../../schema/report.ts";
import type { Log, OrderGuard } from "./part.ts";
import type { ProbeRound } from "../probe/run.ts";
import { type Orders, resultOf } from "../command/order.ts";

export type CarryParts = {
  orders: Orders;
  guard: Pick<OrderGuard, "judge" | "noteRefusal">;
  /** One full check, now. */
  check: () => Promise<ProbeRound>;
  /** `null` if nothing that changes the machine is enabled. */
  runCommand: ((command: AgentCommand) => Promise<CommandResult>) | null;
  /** Puts another release in this program's place; without it there is no way to do that here. */
  upgrade?: ((command: AgentCommand) => Promise<CommandResult>) | null;
  answer: (result: CommandResult) => void;
  log: Log;
};

/** Never rejects; a command that is already under way is not begun again. */
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
