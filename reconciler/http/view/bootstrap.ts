/**
 * Set-up attempts in the API's form: commands are the configuration's, so who may not read them
 * there does not read them here. Pure.
 */
import type { BootstrapAttemptView, BootstrapStepView } from "../../../schema/api-bootstrap.ts";
import type { BootstrapAttempt, Output, Step } from "../../../schema/bootstrap.ts";
import { hideSecrets, PROGRAM_HIDDEN } from "../../config/secret.ts";
import { iso } from "./node.ts";

/** `hidesPrograms` as of `formatConfig`. */
export function viewAttempts(
  attempts: readonly BootstrapAttempt[],
  hidesPrograms: boolean,
): BootstrapAttemptView[] {
  // Attempts repeat the same commands.
  const known = new Map<string, string>();
  const show = (command: string): string => {
    if (hidesPrograms) return command === "" ? "" : PROGRAM_HIDDEN;
    const shown = known.get(command) ?? hideSecrets(command);
    known.set(command, shown);
    return shown;
  };
  return attempts.map((one) => viewAttempt(one, show));
}

type Show = (command: string) => string;

const asSent: Show = (command) => command;

/** `asSent` is for whoever runs the commands. */
export function viewAttempt(one: BootstrapAttempt, show = asSent): BootstrapAttemptView {
  return {
    attempt: one.attempt,
    instance_id: one.instance,
    address: one.address,
    host_key: one.hostKey,
    started_at: iso(one.startedAt),
    ended_at: one.endedAt === null ? null : iso(one.endedAt),
    state: one.state,
    error: one.error,
    steps: one.steps.map((step) => viewStep(step, show)),
  };
}

function viewStep(step: Step, show: Show): BootstrapStepView {
  return {
    kind: step.kind,
    name: step.name,
    command: show(step.command),
    started_at: iso(step.startedAt),
    duration_ms: step.endedAt === null ? null : step.endedAt - step.startedAt,
    exit_code: step.exitCode,
    stdout: formatOutput(step.stdout),
    stderr: formatOutput(step.stderr),
    skipped: step.skipped,
    error: step.error,
  };
}

/** Head and tail as one text, with a line about what was dropped between them. */
function formatOutput({ head, tail, droppedBytes }: Output): string {
  if (droppedBytes === 0) return `${head}${tail}`;
  return `${head}\n[… ${droppedBytes} bytes left out …]\n${tail}`;
}
