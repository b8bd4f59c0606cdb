/** Opens the workflows of a role of this process, with their rows in the audit. */
import type { Clock, Log } from "../core/clock.ts";
import type { WorkflowRunner } from "../core/workflow.ts";
import { WorkflowRuns } from "../runtime/workflow/runs.ts";
import type { Audit } from "../security/audit/audit.ts";

export function openRuns(from: {
  runner: WorkflowRunner;
  audit: Audit;
  clock: Clock;
  log: Log;
  newId(): string;
}): WorkflowRuns {
  const { audit, ...rest } = from;
  return new WorkflowRuns({
    ...rest,
    record: ({ id, verb, at, name, role, remote, request, code, detail }) =>
      audit.done({
        at,
        refused: false,
        who: name,
        role,
        method: verb.toUpperCase(),
        path: `/v1/workflows/${id}`,
        target: id,
        code,
        status: code === "failed" ? 500 : 200,
        remote,
        request,
        verb,
        kind: "workflow",
        namespace: null,
        detail: detail.slice(0, DETAIL_CHARS_MAX),
      }),
  });
}

const DETAIL_CHARS_MAX = 1_000;
