/** A set-up attempt in the API's form. Pure. */
import type { BootstrapAttemptView, BootstrapStepView } from "../../../schema/api-bootstrap.ts";
import type { BootstrapAttempt, Output, Step } from "../../../schema/bootstrap.ts";
import { iso } from "./node.ts";

export function viewAttempt(one: BootstrapAttempt): BootstrapAttemptView {
  return {
    attempt: one.attempt,
    instance_id: one.instance,
    address: one.address,
    host_key: one.hostKey,
    started_at: iso(one.startedAt),
    ended_at: one.endedAt === null ? null : iso(one.endedAt),
    state: one.state,
    error: one.error,
    steps: one.steps.map(viewStep),
  };
}

function viewStep(step: Step): BootstrapStepView {
  return {
    kind: step.kind,
    name: step.name,
    command: step.command,
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
