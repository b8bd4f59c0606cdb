/**
 * Formats the setup of a machine, run by the control plane or by this command. Output of the
 * machine is printed without control characters. Pure.
 */
import { trimEnd } from "../schema/trim.ts";
import type { BootstrapAttemptView, BootstrapStepView } from "../schema/api-bootstrap.ts";
import { formatTime } from "./age.ts";
import { plain } from "./table.ts";

/** Newest last. `whole` prints every line of each command. */
export function formatAttempts(attempts: readonly BootstrapAttemptView[], whole: boolean): string {
  return attempts
    .toReversed()
    .map((one) => formatAttempt(one, whole))
    .join("\n");
}

function formatAttempt(one: BootstrapAttemptView, whole: boolean): string {
  const steps = one.steps.map((step) => formatStep(step, whole)).join("");
  return `${formatHead(one)}${steps}${formatEnd(one)}`;
}

export function formatHead(one: BootstrapAttemptView): string {
  return `Attempt ${one.attempt} at ${plain(one.address)}, ${formatTime(one.started_at)}\n`;
}

/** Empty while the attempt runs. */
export function formatEnd(one: BootstrapAttemptView): string {
  const why = one.error === null ? "" : `: ${plain(one.error)}`;
  return one.ended_at === null ? "" : `${one.state}${why}\n`;
}

export function formatStep(step: BootstrapStepView, whole: boolean): string {
  const said = formatSaid(step.stdout) + formatSaid(step.stderr);
  return `${formatOutcome(step)}${formatCommand(step, whole)}${said}${formatError(step.error)}`;
}

/** The step's own line: `  name  1.2 s, exit 9`. */
export function formatOutcome(step: BootstrapStepView): string {
  const exit = step.exit_code === null || step.exit_code === 0 ? "" : `, exit ${step.exit_code}`;
  const ran = step.duration_ms === null ? "runs" : `${(step.duration_ms / 1_000).toFixed(1)} s`;
  return `  ${plain(step.name)}  ${step.skipped ? "done before" : `${ran}${exit}`}\n`;
}

/** Lines of a script that identify it. */
const COMMAND_LINES = 2;

export function formatCommand(step: BootstrapStepView, whole: boolean): string {
  const all = linesOf(step.command);
  const cut = whole || all.length <= COMMAND_LINES + 1 ? all : all.slice(0, COMMAND_LINES);
  const left = all.length - cut.length;
  const command = cut.map((line) => `    $ ${line}\n`);
  if (left > 0) command.push(`    $ … ${left} lines more (--commands)\n`);
  return command.join("");
}

export function formatSaid(text: string): string {
  return linesOf(text)
    .map((line) => `    ${line}\n`)
    .join("");
}

export function formatError(error: string | null): string {
  return error === null ? "" : `    error: ${plain(error)}\n`;
}

function linesOf(text: string): string[] {
  const trimmed = trimEnd(text, "\n");
  return trimmed === "" ? [] : trimmed.split("\n").map(plain);
}
