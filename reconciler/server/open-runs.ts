/**
 * Opens the workflows of a role of this process, with their rows in the audit, and their way to
 * the fleet: this process's own API.
 */
import type { Clock, Log } from "../core/clock.ts";
import type { AskSelf, WorkflowRunner } from "../core/workflow.ts";
import type { KubeApi } from "../kubernetes/api.ts";
import type { Front } from "../http/route/listen.ts";
import { type Authority, hashToken } from "../security/auth.ts";
import { WorkflowRuns } from "../runtime/workflow/runs.ts";
import type { Audit } from "../security/audit/audit.ts";

/** What workflows run on; `api` is `null` without a cluster. */
export type WorkflowPorts = {
  api: KubeApi | null;
  clock: Clock;
  random: () => number;
  ask: AskSelf;
};

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

/** The audit shows its calls as those of `token:workflow`. */
export function openAskSelf(from: {
  authority: Authority;
  clock: Clock;
  newSecret(): string;
  front(): Front;
}): { ask: AskSelf; end(): void } {
  const secret = from.newSecret();
  const now = from.clock.wallMs();
  const own = {
    ...({ id: "workflow", role: "operator", hash: hashToken(secret), node: null } as const),
    ...{ label: "workflows", createdAt: now, createdBy: "navarch", expiresAt: null },
  };
  from.authority.put({ ...own, revokedAt: null });
  const headers = { Authorization: `Bearer ${secret}`, "Content-Type": "application/json" };
  return {
    async ask(method, path, body) {
      const sent = body === undefined ? {} : { body: JSON.stringify(body) };
      const request = new Request(`http://localhost${path}`, { method, headers, ...sent });
      const { pathname } = new URL(request.url);
      const answer = await from.front().answer(request, pathname);
      return { status: answer.status, text: await answer.text() };
    },
    end: () => from.authority.put({ ...own, revokedAt: from.clock.wallMs() }),
  };
}
