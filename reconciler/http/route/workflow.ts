/**
 * Workflows on the control plane: submit, watch, cancel. Refused unless the configuration enables
 * simulation and a cluster is attached. A run ends with its process; the audit tells of it after.
 */
import type { Context } from "hono";
import * as v from "valibot";
import { LIMIT } from "../../../schema/limit.ts";
import type { WorkflowRunView } from "../../../schema/workflow.ts";
import type { WorkflowSource } from "../../core/workflow.ts";
import { managerOf, type WorkflowRuns } from "../../runtime/workflow/runs.ts";
import type { RunLog } from "../../runtime/workflow/run-log.ts";
import { ANY_ROW } from "../../../schema/audit.ts";
import { iso } from "../view/node.ts";
import type { Env, RoutePorts, Route } from "./route.ts";
import { counted } from "./follower.ts";
import { hasRole, remoteOf, shownBy } from "./gate.ts";
import { HOP } from "./hop.ts";
import {
  idempotencyKey,
  invalid,
  parseJson,
  queryNumber,
  readQuery,
  parse,
  Refusal,
} from "./request.ts";
import { openSliced } from "./sliced.ts";
import type { Followed } from "./follower.ts";

/** A comment is sent when nothing else is, so that proxies keep the connection. */
const QUIET_MS = 15_000;
/** Then a follower comes back with the last id it saw, and with a token that still holds. */
const STREAM_MS = 10 * 60_000;
/** A standby waits 15 s for the leader's whole answer. */
const FORWARDED_MS = 5_000;
const WAIT_MS_MAX = 25_000;
const TEMPLATES_MAX = 200;

const WholeNumber = "expected a whole number";
const SubmitQuery = v.strictObject({
  cleanup: v.optional(v.picklist(["true", "false"], "expected true or false")),
});
const EventsQuery = v.object({
  after: queryNumber(WholeNumber),
  wait_ms: queryNumber(WholeNumber),
});

/** The body with template files; any other body is the workflow itself. */
const Bundle = v.strictObject({
  workflow: v.string("expected the text of a workflow file"),
  templates: v.optional(
    v.pipe(
      v.record(v.string(), v.string("expected the text of a template file")),
      v.check((all) => Object.keys(all).length <= TEMPLATES_MAX, `more than ${TEMPLATES_MAX}`),
    ),
    {},
  ),
});

export type WorkflowPorts = RoutePorts &
  Followed & {
    /** Workflows that this process runs as leader. */
    workflows: WorkflowRuns;
  };

async function submit(c: Context<Env>, ports: WorkflowPorts): Promise<Response> {
  const { cleanup } = readQuery(c, SubmitQuery);
  const { reconciler, workflows } = ports;
  if (!reconciler.activeConfig().simulation.enabled) {
    const message = "this control plane runs no workflows: set simulation.enabled to allow them";
    throw new Refusal("conflict", message);
  }
  const why = workflows.whyNot();
  if (why !== null) throw new Refusal("conflict", why);
  const { name, role } = c.get("principal");
  const by = { name, role, remote: remoteOf(c), request: c.get("requestId") };
  const order = { by, key: idempotencyKey(c), cleanup: cleanup === "true" };
  const submitted = workflows.submit(sourceOf(c, await c.req.text()), order);
  switch (submitted.kind) {
    case "ok":
      c.set("target", submitted.run.id);
      c.header("Location", `/v1/workflows/${submitted.run.id}`);
      return c.json(submitted.run, 202);
    case "invalid":
      return invalid(`${submitted.isYaml ? "Invalid YAML format: " : ""}${submitted.message}`);
    case "full":
      throw new Refusal("rate_limited", submitted.message);
    case "closed":
      throw new Refusal("not_leader", "leadership is moving; submit again");
  }
}

function sourceOf(c: Context<Env>, text: string): WorkflowSource {
  const type = c.req.header("Content-Type") ?? "";
  if (!/^application\/json\b/i.test(type)) return fitting({ text, templates: {} });
  const { workflow, templates } = parse(Bundle, parseJson(text, "body"));
  return fitting({ text: workflow, templates });
}

/** Throws for a file that would take the whole process too long to read. */
function fitting(source: WorkflowSource): WorkflowSource {
  for (const text of [source.text, ...Object.values(source.templates)]) {
    if (text.length <= LIMIT.workflowCharsMax) continue;
    const message = `a file of a workflow has ${LIMIT.workflowCharsMax} characters at most here`;
    throw new Refusal("too_large", `${message}, and this has ${text.length}: split it`);
  }
  return source;
}

function cancel(c: Context<Env>, { workflows }: WorkflowPorts): Response {
  const id = c.req.param("id") ?? "";
  const cancelled = workflows.cancel(id, c.get("principal").name);
  if (cancelled.kind === "ok") return c.json(cancelled.run, 202);
  if (cancelled.kind === "ended") throw new Refusal("conflict", `workflow ${id} has ended`);
  throw new Refusal("not_found", `no workflow ${id} runs or waits here`);
}

/** What the audit tells of a run of an earlier process, or of one that is no longer kept. */
async function readPast({ admission }: RoutePorts, id: string): Promise<WorkflowRunView> {
  const query = { ...ANY_ROW, object: `workflow/${id}`, refused: false, limit: 100 };
  const { rows } = (await admission?.audit.page(query)) ?? { rows: [] };
  const of = (verb: string) => rows.find((row) => row.verb === verb) ?? null;
  const [submitted, started, ended] = [of("submit"), of("start"), of("end")];
  const first = submitted ?? started;
  if (first === null) throw new Refusal("not_found", `no workflow ${id}`);
  const left = "the control plane that ran it ended first, and what it created is left: look for";
  const lost =
    started === null
      ? "the control plane ended before it began"
      : `${left} the field manager ${managerOf(id)}`;
  const state = ended === null ? "lost" : ended.code === "ok" ? "passed" : "failed";
  return {
    id,
    name: /^"(.*)", field manager /.exec(started?.detail ?? "")?.[1] ?? "",
    state: ended?.code === "cancelled" ? "cancelled" : state,
    submitted_by: first.who,
    submitted_at: iso(first.at),
    started_at: started === null ? null : iso(started.at),
    ended_at: ended === null ? null : iso(ended.at),
    duration_ms: started === null || ended === null ? null : ended.at - started.at,
    error: ended === null ? lost : ended.code === "ok" ? null : ended.detail,
    cleanup: false,
    field_manager: managerOf(id),
    tasks: [],
  };
}

/** Server-sent events for those who accept them, else one page as JSON. */
async function events(c: Context<Env>, ports: WorkflowPorts): Promise<Response> {
  const followers = ports.followers.workflows;
  const id = c.req.param("id") ?? "";
  const found = ports.workflows.get(id);
  if (found === null) throw new Refusal("not_found", `no workflow ${id} is kept here`);
  const { after = 0, wait_ms: waitMs = 0 } = readQuery(c, EventsQuery);
  const isForwarded = c.req.header(HOP) !== undefined;
  const isStream = /\btext\/event-stream\b/.test(c.req.header("Accept") ?? "");
  const { name: owner, role } = c.get("principal");
  const shown = shownBy(c);
  // What is waited for is told only to a caller whose token still holds.
  const isAllowed = (): boolean => hasRole(shown, role, ports);
  if (!isStream) {
    const most = isForwarded ? FORWARDED_MS : WAIT_MS_MAX;
    const leave = followers.take(owner);
    await found.log.wait(after, Math.min(waitMs, most)).finally(leave);
    if (!isAllowed()) throw new Refusal("unauthenticated", "the token ended during the wait");
    return c.json(found.log.page(after));
  }
  followers.check(owner);
  const last = Number(c.req.header("Last-Event-ID") ?? after);
  const from = Number.isSafeInteger(last) && last >= 0 ? last : 0;
  const untilMono = ports.clock.monoMs() + (isForwarded ? FORWARDED_MS : STREAM_MS);
  const leftMs = (): number => untilMono - ports.clock.monoMs();
  const slices = formatStream(found.log, from, { leftMs, isForwarded, isAllowed });
  const body = openSliced(
    counted(slices, () => followers.take(owner)),
    STREAM_MS + QUIET_MS,
  );
  return c.body(body, 200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
}

/** A forwarded stream ends with what is there: the standby passes on whole answers only. */
async function* formatStream(
  log: RunLog,
  from: number,
  {
    leftMs,
    isForwarded,
    isAllowed,
  }: { leftMs(): number; isForwarded: boolean; isAllowed(): boolean },
): AsyncGenerator<string> {
  let after = from;
  yield "retry: 1000\n\n";
  for (;;) {
    // A follower whose token was revoked comes back, and is refused.
    if (!isAllowed()) return;
    const page = log.page(after);
    if (page.dropped > 0) yield `event: dropped\ndata: {"dropped":${page.dropped}}\n\n`;
    for (const { seq, kind, ...data } of page.events) {
      yield `id: ${seq}\nevent: ${kind}\ndata: ${JSON.stringify(data)}\n\n`;
    }
    after = page.next;
    if (page.ended) return yield "event: end\ndata: {}\n\n";
    const isDone = leftMs() <= 0 || (isForwarded && page.events.length > 0);
    if (isDone) return;
    if (page.events.length > 0) continue;
    await log.wait(after, Math.max(0, Math.min(QUIET_MS, leftMs())));
    if (log.page(after).events.length === 0) yield ": quiet\n\n";
  }
}

export const workflowRoutes: readonly Route<WorkflowPorts>[] = [
  {
    at: "POST /v1/workflows",
    access: "admin",
    act: ["submit", "workflow"],
    query: SubmitQuery,
    status: [202],
    says:
      "run a workflow; the body is its YAML, or JSON with `workflow` and `templates`; " +
      "`cleanup=true`; 202; refused without `simulation.enabled` and a cluster",
    run: (c, ports) => submit(c, ports),
  },
  {
    at: "GET /v1/workflows",
    access: "viewer",
    act: ["get", "workflow"],
    isLeaders: true,
    says: "runs of workflows, newest first",
    run: (c, ports) => c.json({ workflows: ports.workflows.list() }),
  },
  {
    at: "GET /v1/workflows/:id",
    access: "viewer",
    act: ["get", "workflow"],
    isLeaders: true,
    says: "a run with its tasks; `lost` if its control plane ended first",
    run: async (c, ports) => {
      const id = c.req.param("id") ?? "";
      return c.json(ports.workflows.get(id)?.run ?? (await readPast(ports, id)));
    },
  },
  {
    at: "GET /v1/workflows/:id/events",
    access: "viewer",
    act: ["get", "workflow"],
    isLeaders: true,
    query: EventsQuery,
    says: "what a run tells: server-sent events, or pages as JSON; `after`, `wait_ms`",
    run: (c, ports) => events(c, ports),
  },
  {
    at: "POST /v1/workflows/:id/cancel",
    access: "operator",
    act: ["cancel", "workflow"],
    status: [202],
    says: "end a run; one that waits never begins",
    run: (c, ports) => cancel(c, ports),
  },
];
