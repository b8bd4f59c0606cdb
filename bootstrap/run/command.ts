/**
 * Runs a pool's commands in order and stops at the first failure. Commands that an earlier attempt
 * finished are skipped. A late or cancelled command is ended on the machine with all its processes.
 */
import { ABORTED, type Answer, good, sentenceOf } from "./end.ts";
import { collect, endOf, fencedLine, isStale, type Machine } from "./machine.ts";
import type { AttemptRecord, OpenStep } from "./record.ts";
import type { Command } from "./render.ts";
import { RUN, STOP } from "./script.ts";

/** More than STOP takes to end a session that ignores SIGTERM. */
const STOP_MS = 10_000;

export type Running = {
  machine: Machine;
  /** Folder of this list's marks. */
  folder: string;
  interpreter: string;
  commandMs: number;
  done: ReadonlySet<string>;
};

export async function runCommands(
  running: Running,
  commands: readonly Command[],
  record: AttemptRecord,
  signal: AbortSignal,
): Promise<Answer<null>> {
  for (const command of commands) {
    const step = await record.begin("command", command.name, command.text);
    if (running.done.has(command.mark)) {
      await step.end({ exitCode: 0, error: null, skipped: true });
      continue;
    }
    const answer = await runCommand(running, command, step, signal);
    if (!answer.ok) return answer;
  }
  return good(null);
}

async function runCommand(
  running: Running,
  command: Command,
  step: OpenStep,
  signal: AbortSignal,
): Promise<Answer<null>> {
  if (signal.aborted) {
    await step.end({ exitCode: null, error: sentenceOf(ABORTED.end) });
    return ABORTED;
  }
  const { machine, folder, interpreter, commandMs } = running;
  const stdin = Buffer.from(command.script);
  const args = [folder, command.mark, interpreter, String(stdin.length)];
  const line = fencedLine(machine, RUN, args);
  // The end of stderr shows whether the fence refused, or the command itself failed.
  let stderrEnd = "";
  const answer = await machine.shell.exec(line, {
    timeoutMs: commandMs,
    stdin,
    signal,
    onData: (stream, chunk) => {
      step.push(stream, chunk);
      if (stream !== "stderr") return;
      stderrEnd = (stderrEnd + Buffer.from(chunk.subarray(-512)).toString("latin1")).slice(-512);
    },
  });
  let left = "";
  if (answer.kind === "timeout" || answer.kind === "aborted") left = await stopCommand(machine);
  const end = endOf(answer, command.name, {
    cause: "command",
    timeoutMs: commandMs,
    lastLine: step.lastLine(),
    stale: isStale(machine, answer, stderrEnd),
  });
  const exitCode = answer.kind === "exited" ? (answer.code ?? -1) : -1;
  const error = end === null ? null : `${sentenceOf(end.end)}${left}`;
  await step.end({ exitCode, error });
  if (end === null) return good(null);
  if (end.end.kind === "failed") return { ok: false, end: { ...end.end, error: error ?? "" } };
  return end;
}

/** Uses another channel; the answer is added to an error. */
async function stopCommand(machine: Machine): Promise<string> {
  const line = fencedLine(machine, STOP, []);
  const said = await collect(machine.shell, line, { timeoutMs: STOP_MS });
  if (said.answer.kind === "exited" && said.answer.code === 0) return "; its processes were ended";
  return "; its processes could not be ended, the next attempt will try again";
}
