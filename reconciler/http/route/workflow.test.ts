/** W54 as a caller sees it: submit, follow, cancel, and what is left of a run when it is gone. */
import { afterEach, expect, test } from "bun:test";
import type { AuditRecord } from "../../../schema/audit.ts";
import type { WorkflowEventsPage, WorkflowRunView } from "../../../schema/workflow.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { type Json, openWorldApp, type WorldApp } from "../../../test/world/app.ts";
import { openHandRunner } from "../../../test/world/rehearsal.ts";
import { closeWorlds, fleet } from "../../../test/world/story.ts";
import { HOP } from "./hop.ts";

afterEach(closeWorlds);

const ON = "simulation: { enabled: true }\n";

async function setUp() {
  const world = await fleet(1, ON);
  const runner = openHandRunner();
  const a = openWorldApp(world, runner);
  const post = async (text: string, path = "/v1/workflows", more: Record<string, string> = {}) => {
    const answer = await a.call("POST", path, text, "root", more);
    return { ...answer, run: answer.body as unknown as WorkflowRunView };
  };
  const get = async <T>(path: string) => (await a.call("GET", path)).body as unknown as T;
  const tokenOf = async (role: string) =>
    `${(await a.call("POST", "/v1/tokens", { role, label: role })).body["token"]}`;
  const audit = async () => {
    const headers = { Authorization: "Bearer root" };
    const path = "/api/admin/audit?limit=1000";
    const answer = await a.app.request(path, { headers }, { remote: "127.0.0.1" });
    const rows = (await answer.json()) as AuditRecord[];
    return rows.filter(({ kind }) => kind === "workflow").reverse();
  };
  const settle = () => world.clock.pass(10);
  return { world, runner, a, post, get, tokenOf, audit, settle };
}

test("W54: 202 with an id, then the state, its tasks, and audit rows from submission to end", async () => {
  const { runner, post, get, audit, settle } = await setUp();
  const { status, run, headers } = await post("Sleep a\nSleep b");
  expect(status).toBe(202);
  expect(run).toMatchObject({ state: "running", submitted_by: "admin", cleanup: false });
  expect(headers.get("Location")).toBe(`/v1/workflows/${run.id}`);
  await settle();
  runner.begun[0]?.order.tell({ kind: "line", level: "info", text: "Starting" });
  runner.begun[0]?.end(null);
  await settle();
  const ended = await get<WorkflowRunView>(`/v1/workflows/${run.id}`);
  expect(ended).toMatchObject({ state: "passed", error: null });
  expect(ended.tasks[0]).toMatchObject({ id: "a", type: "Sleep", state: "passed" });
  const listed = await get<{ workflows: WorkflowRunView[] }>("/v1/workflows");
  const { tasks: _, ...summary } = ended;
  expect(listed.workflows as unknown).toEqual([summary]);
  const rows = await audit();
  expect(rows.map(({ verb, name, result }) => [verb, name, result])).toEqual([
    ["start", run.id, "ok"],
    ["submit", run.id, "ok"],
    ["end", run.id, "ok"],
  ]);
  expect(rows[0]?.detail).toContain(`field manager navarch-workflow-${run.id}`);
});

test("W54: template files come with the workflow, and cleanup is asked for", async () => {
  const { runner, post, settle } = await setUp();
  const body = JSON.stringify({ workflow: "Sleep a", templates: { "t/job.yml": "kind: Job" } });
  const json = { "Content-Type": "application/json" };
  expect((await post(body, "/v1/workflows?cleanup=true", json)).status).toBe(202);
  await settle();
  expect(runner.begun[0]?.source.templates).toEqual({ "t/job.yml": "kind: Job" });
  expect(runner.begun[0]?.order.cleanup).toBe(true);
});

test("W54: what cannot be read or may not run is refused, with the reason", async () => {
  const { post, a, tokenOf, runner, audit } = await setUp();
  expect(messageOf(await post("!"))).toBe("Invalid YAML format: line 1: found !");
  expect(messageOf(await post(""))).toBe("test  has no tasks");
  const json = { "Content-Type": "application/json" };
  for (const text of ["{", "[]", "null", '{"workflow":1}', '{"workflow":"Sleep a","x":1}']) {
    expect([text, (await post(text, "/v1/workflows", json)).status]).toEqual([text, 400]);
  }
  expect((await post("Sleep a", "/v1/workflows?clean=true")).status).toBe(400);
  const operator = await tokenOf("operator");
  const denied = await a.call("POST", "/v1/workflows", "Sleep a", operator);
  expect(denied.status).toBe(403);
  expect(runner.begun).toEqual([]);
  const last = (await audit()).at(-1);
  expect(last).toMatchObject({ verb: "submit", result: "permission_denied", role: "operator" });
});

test("W54: a file that takes long to read is refused by its length, before it is read", async () => {
  const { post, runner } = await setUp();
  const long = "a: 1\n".repeat(LIMIT.workflowCharsMax / 4);
  const bundle = JSON.stringify({ workflow: "Sleep a", templates: { "t.yml": long } });
  const json = { "Content-Type": "application/json" };
  for (const asked of [post(long), post(bundle, "/v1/workflows", json)]) {
    expect(await asked).toMatchObject({ status: 413, body: { error: { code: "too_large" } } });
  }
  expect(runner.begun).toHaveLength(0);
});

test("W54: without simulation.enabled, or without a cluster, nothing runs", async () => {
  const off = openWorldApp(await fleet(1), openHandRunner());
  const refused = await off.call("POST", "/v1/workflows", "Sleep a");
  expect(refused.status).toBe(409);
  expect(messageOf(refused)).toContain("simulation.enabled");
  const bare = openWorldApp(await fleet(1, ON));
  const none = await bare.call("POST", "/v1/workflows", "Sleep a");
  expect([none.status, messageOf(none)]).toEqual([409, "a world has no cluster to rehearse on"]);
});

test("W54: operators cancel, viewers watch, and a run that has ended stays ended", async () => {
  const { post, a, tokenOf, settle, audit } = await setUp();
  const { run } = await post("Sleep a");
  await settle();
  const viewer = await tokenOf("viewer");
  const operator = await tokenOf("operator");
  const path = `/v1/workflows/${run.id}`;
  expect((await a.call("GET", path, undefined, viewer)).status).toBe(200);
  expect((await a.call("POST", `${path}/cancel`, {}, viewer)).status).toBe(403);
  expect((await a.call("POST", `${path}/cancel`, {}, operator)).status).toBe(202);
  await settle();
  expect((await a.call("GET", path)).body["state"] as unknown).toBe("cancelled");
  expect((await a.call("POST", `${path}/cancel`, {}, operator)).status).toBe(409);
  expect((await a.call("POST", "/v1/workflows/none/cancel", {}, operator)).status).toBe(404);
  const verbs = (await audit()).map(({ verb, result }) => `${verb} ${result}`);
  expect(verbs).toContain("end cancelled");
  expect(verbs).toContain("cancel ok");
});

test("W54: the same Idempotency-Key is the same run", async () => {
  const { post, runner, settle } = await setUp();
  const key = { "Idempotency-Key": "k-1" };
  const [one, two] = [await post("Sleep a", undefined, key), await post("Sleep a", undefined, key)];
  expect(two.run.id).toBe(one.run.id);
  await settle();
  expect(runner.begun).toHaveLength(1);
});

const messageOf = ({ body }: { body: Json }): string => `${body["error"]?.["message"]}`;

/** The whole body; reading it to its end needs a stream that ends. */
async function stream(a: WorldApp, path: string, headers: Record<string, string> = {}) {
  const answer = await a.app.request(path, {
    headers: { Authorization: "Bearer root", Accept: "text/event-stream", ...headers },
  });
  expect(answer.headers.get("content-type")).toContain("text/event-stream");
  return answer.text();
}

test("W54: server-sent events give every event once, also to one who comes back", async () => {
  const { post, a, runner, settle } = await setUp();
  const { run } = await post("Sleep a");
  await settle();
  const path = `/v1/workflows/${run.id}/events`;
  // Behind a standby an answer ends with what there is.
  const first = await stream(a, path, { [HOP]: "x" });
  expect(first).toStartWith("retry: 1000\n\n");
  expect(first).toContain('event: run\ndata: {"state":"running","error":null}');
  expect(first).not.toContain("event: end");
  const last = /id: (\d+)\n(?![\s\S]*id: )/.exec(first)?.[1] ?? "";
  for (const text of ["one", "two\nlines"]) {
    runner.begun[0]?.order.tell({ kind: "line", level: "info", text });
  }
  runner.begun[0]?.end(null);
  await settle();
  const rest = await stream(a, path, { "Last-Event-ID": last });
  expect(rest).not.toContain('"state":"running","error"');
  expect(rest).toContain('event: line\ndata: {"level":"info","text":"two\\nlines"}');
  expect(rest).toEndWith("event: end\ndata: {}\n\n");
  const ids = [...`${first}${rest}`.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
  expect(ids).toEqual(ids.map((_, i) => i + 1));
});

test("W54: a live stream gets an event when it happens, and ends with the run", async () => {
  const { post, a, runner, settle } = await setUp();
  const { run } = await post("Sleep a");
  await settle();
  const reading = stream(a, `/v1/workflows/${run.id}/events`);
  await settle();
  runner.begun[0]?.order.tell({ kind: "line", level: "warning", text: "late" });
  await settle();
  runner.begun[0]?.end("broke");
  await settle();
  const text = await reading;
  expect(text).toContain('"text":"late"');
  expect(text).toContain('{"state":"failed","error":"broke"}');
});

test("one viewer takes a part of the places of followers, and another follows beside it", async () => {
  const { world, post, a, settle, tokenOf } = await setUp();
  const { run } = await post("Sleep a");
  await settle();
  const [greedy, other] = [await tokenOf("viewer"), await tokenOf("viewer")];
  const path = `/v1/workflows/${run.id}/events?after=100&wait_ms=5000`;
  const ask = async (token: string): Promise<number> => {
    const headers = { Authorization: `Bearer ${token}` };
    return (await a.app.request(path, { headers })).status;
  };
  const many = Array.from({ length: 70 }, () => ask(greedy));
  await settle();
  const one = ask(other);
  for (let i = 0; i < 10; i++) await world.clock.pass(1_000);
  const statuses = await Promise.all(many);
  expect(statuses.filter((status) => status === 200)).toHaveLength(16);
  expect(statuses.filter((status) => status === 429)).toHaveLength(54);
  expect(await one).toBe(200);
  expect(await Promise.all([ask(greedy), world.clock.pass(6_000)])).toContain(200);
});

test("a stream ends with the token of its reader, and tells it nothing more", async () => {
  const { post, a, runner, settle } = await setUp();
  const { run } = await post("Sleep a");
  await settle();
  const { body } = await a.call("POST", "/v1/tokens", { role: "viewer", label: "v" });
  const reading = stream(a, `/v1/workflows/${run.id}/events`, {
    Authorization: `Bearer ${body["token"]}`,
  });
  await settle();
  expect((await a.call("DELETE", `/v1/tokens/${body["id"]}`)).status).toBe(200);
  runner.begun[0]?.order.tell({ kind: "line", level: "info", text: "after its end" });
  await settle();
  const text = await reading;
  expect(text).toContain("event: run");
  expect(text).not.toContain("after its end");
});

test("W54: pages of events as JSON, for who cannot read a stream", async () => {
  const { post, get, runner, settle, a } = await setUp();
  const { run } = await post("Sleep a");
  await settle();
  runner.begun[0]?.end(null);
  await settle();
  const path = `/v1/workflows/${run.id}/events`;
  const page = await get<WorkflowEventsPage>(path);
  expect(page.ended).toBe(true);
  expect(page.events.map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
  const none = await get<WorkflowEventsPage>(`${path}?after=${page.next}`);
  expect(none).toEqual({ events: [], dropped: 0, next: page.next, ended: true });
  expect((await a.call("GET", "/v1/workflows/none/events")).status).toBe(404);
  expect((await a.call("GET", `${path}?after=-1`)).status).toBe(400);
});

test("W54: a run that died with its process is lost, and says what to look for", async () => {
  const { world, a, post, settle, runner } = await setUp();
  const { run: lost } = await post("Sleep a");
  const { run: queued } = await post("Sleep b");
  await settle();
  // Another process on the same database: it knows the audit alone.
  const next = openWorldApp(world, openHandRunner());
  const view = (await next.call("GET", `/v1/workflows/${lost.id}`)).body;
  expect(view["state"] as unknown).toBe("lost");
  expect(`${view["error"]}`).toContain(`field manager navarch-workflow-${lost.id}`);
  expect(view["name"] as unknown).toBe("of a");
  const waiting = (await next.call("GET", `/v1/workflows/${queued.id}`)).body;
  expect(waiting).toMatchObject({ state: "lost", started_at: null });
  runner.begun[0]?.end("Sleep/a: broke");
  await settle();
  const ended = (await next.call("GET", `/v1/workflows/${lost.id}`)).body;
  expect(ended).toMatchObject({ state: "failed", error: "Sleep/a: broke" });
  expect((await a.call("GET", "/v1/workflows/none")).status).toBe(404);
});
