/**
 * Formats the output of `bootstrap --host`: the script of a dry run, names of commands instead of
 * numbers, and failures with hints. Pure.
 */
import type { FailureCause, Job, Outcome } from "../bootstrap/run/job.ts";
import type { Command } from "../bootstrap/run/render.ts";
import type { BootstrapAttemptView } from "../schema/api-bootstrap.ts";
import { unreachable } from "../schema/unreachable.ts";
import { EXIT, type Exit, failure, type Failure } from "./failure.ts";

/** Every command as the machine would get it, after notes on earlier steps. */
export function formatScript(
  job: Job,
  commands: readonly Command[],
  names: readonly string[],
  notes: readonly string[],
): string {
  const to = `${job.user}@${job.address}:${job.port}`;
  const via = job.jump === null ? "" : ` through ${job.jump.host}`;
  const head = [`Commands that would run on ${to}${via}, one at a time (dry run).`];
  const lines = [...head, ...notes].map((line) => `# ${line}\n`).join("");
  const scripts = commands.map(({ script }, at) => `\n# ${names[at] ?? ""}\n${script}`);
  return `${lines}${scripts.join("")}`;
}

/** Names the command, and drops the control plane, which has no part in this run. */
export function renamed(text: string, names: readonly string[]): string {
  return text
    .replaceAll(/setup_commands\[(\d+)\]/g, (whole, at: string) => names[Number(at)] ?? whole)
    .replaceAll("stopped by the control plane", "stopped");
}

export function renameAttempt(
  view: BootstrapAttemptView,
  names: readonly string[],
): BootstrapAttemptView {
  const own = (text: string | null): string | null => (text === null ? null : renamed(text, names));
  const steps = view.steps.map((step) => {
    return { ...step, name: renamed(step.name, names), error: own(step.error) };
  });
  return { ...view, error: own(view.error), steps };
}

/** Counts the commands that ran; a second run changes nothing. */
export function formatDone(job: Job, { steps }: BootstrapAttemptView): string {
  const commands = steps.filter(({ kind }) => kind === "command");
  const ran = commands.filter(({ skipped }) => !skipped).length;
  return `${job.node} is set up (changed=${ran}, done before: ${commands.length - ran})\n`;
}

const EXIT_OF: Readonly<Record<FailureCause, Exit>> = {
  unreachable: EXIT.unreachable,
  lost: EXIT.unreachable,
  denied: EXIT.forbidden,
  no_sudo: EXIT.forbidden,
  host_key: EXIT.refused,
  bad_key: EXIT.usage,
  template: EXIT.usage,
  unsuitable: EXIT.failed,
  address: EXIT.failed,
  credential: EXIT.failed,
  push: EXIT.failed,
  command: EXIT.failed,
  timeout: EXIT.failed,
};

/** `hints` are advice by cause. */
export function failureOf(
  outcome: Exclude<Outcome, { kind: "done" | "interrupted" | "cancelled" }>,
  names: readonly string[],
  hints: Readonly<Partial<Record<FailureCause, string>>>,
): Failure {
  switch (outcome.kind) {
    case "failed": {
      const { cause, error } = outcome;
      const hint = hints[cause] === undefined ? "" : ` (${hints[cause]})`;
      return failure(EXIT_OF[cause], cause, `${renamed(error, names)}${hint}`);
    }
    case "stale":
      return failure(EXIT.refused, "conflict", "another run has taken over this machine");
    default:
      return unreachable(outcome);
  }
}
