/**
 * Runs the set-up's programs as root on a connected, inspected machine, and converts their failures
 * to outcomes of the attempt.
 */
import { unreachable } from "../../schema/unreachable.ts";
import type { ExecAnswer, ExecOptions, Shell, StreamName } from "../shell.ts";
import { ABORTED, failed, type Failure, stale } from "./end.ts";
import type { FailureCause } from "./job.ts";
import { seconds } from "./reach.ts";
import { programLine, STALE_CODE, STALE_WORD } from "./script.ts";

/** Output limit for the set-up's own programs, which print little. */
const TEXT_BYTES_MAX = 64 * 1_024;

export type Collected = { answer: ExecAnswer; stdout: string; stderr: string };

/** Runs a command line and keeps up to 64 KiB of each output. */
export async function collect(
  shell: Shell,
  line: string,
  options: Pick<ExecOptions, "timeoutMs" | "signal" | "stdin">,
): Promise<Collected> {
  const kept: Record<StreamName, Buffer[]> = { stdout: [], stderr: [] };
  const bytes: Record<StreamName, number> = { stdout: 0, stderr: 0 };
  const answer = await shell.exec(line, {
    ...options,
    onData: (stream, chunk) => {
      const room = TEXT_BYTES_MAX - bytes[stream];
      if (room <= 0) return;
      kept[stream].push(Buffer.from(chunk.subarray(0, room)));
      bytes[stream] += Math.min(room, chunk.length);
    },
  });
  const text = (stream: StreamName) => Buffer.concat(kept[stream]).toString();
  return { answer, stdout: text("stdout"), stderr: text("stderr") };
}

export type Machine = {
  shell: Shell;
  /** Whether programs run through sudo. */
  sudo: boolean;
  /** The instance's directory on the machine. */
  directory: string;
  /** `epoch attempt uuid`, as the claim answered it. */
  fence: string;
};

/** The command line of a program whose first arguments are the instance's directory and fence. */
export function fencedLine(machine: Machine, program: string, args: readonly string[]): string {
  return programLine(machine.sudo, program, [machine.directory, machine.fence, ...args]);
}

/** True if the program found a newer fence on the machine. */
export function isStale(machine: Machine, answer: ExecAnswer, stderr: string): boolean {
  if (answer.kind !== "exited" || answer.code !== STALE_CODE) return false;
  const uuid = machine.fence.split(" ").at(-1) ?? "";
  return stderr.includes(`${STALE_WORD} ${uuid}`);
}

export const STALE_SENTENCE =
  "the machine follows a newer epoch or attempt: this control plane is no longer the leader";

/** The failure that an answer means; `null` for exit code 0. The message begins with `what`. */
export function endOf(
  answer: ExecAnswer,
  what: string,
  options: { cause: FailureCause; timeoutMs: number; lastLine: string; stale: boolean },
): Failure | null {
  const { cause, timeoutMs, lastLine } = options;
  switch (answer.kind) {
    case "exited": {
      if (answer.code === 0) return null;
      if (options.stale) return stale(STALE_SENTENCE);
      const how = answer.code === null ? `ended by SIG${answer.signal}` : `exit ${answer.code}`;
      return failed(cause, `${what}: ${how}${lastLine === "" ? "" : `: ${lastLine}`}`);
    }
    case "timeout":
      return failed("timeout", `${what}: not done within ${seconds(timeoutMs)}`);
    case "aborted":
      return ABORTED;
    case "lost":
      return failed("lost", `${what}: connection lost: ${answer.message}`);
    default:
      return unreachable(answer);
  }
}

export function lastLineOf({ stdout, stderr }: { stdout: string; stderr: string }): string {
  const last = (text: string) =>
    text
      .split("\n")
      .map((line) => line.trim())
      .findLast((line) => line !== "");
  return last(stderr) ?? last(stdout) ?? "";
}
