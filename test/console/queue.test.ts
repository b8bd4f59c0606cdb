/** The demand queue as callers see it (C15, C53, C55), on the production store and routes. */
import { afterEach, expect, test } from "bun:test";
import { MemoryClient, MemoryDatabase } from "../../simulator/engine/sql.ts";
import { LedQueue, TASK_KEPT_MS } from "../../reconciler/runtime/demand-queue.ts";
import type { Store } from "../../reconciler/core/store.ts";
import type { TaskTable } from "../../reconciler/core/store-table.ts";
import { openLibsqlStore } from "../../reconciler/store/libsql.ts";
import type { Clock } from "../../reconciler/core/clock.ts";
import { openWorldApp, type WorldApp } from "../world/app.ts";
import { closeWorlds, fleet } from "../world/story.ts";

const queues: LedQueue[] = [];
afterEach(async () => {
  await closeWorlds();
  for (const one of queues.splice(0)) await one.stop();
});

const CLOCK: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

type More = { backlog?: number; clock?: Clock };

async function openQueue(table: TaskTable, more: More = {}): Promise<LedQueue> {
  let ids = 0;
  const queue = await LedQueue.open({
    ...{
      table,
      clock: more.clock ?? CLOCK,
      log: () => undefined,
      leads: () => true,
      capacity: () => 1,
    },
    newId: () => `id-${++ids}`,
    settings: () => ({ reserved: 0.2, backlog: more.backlog ?? 100, leaseMs: 60_000 }),
  });
  queue.start();
  queues.push(queue);
  return queue;
}

async function openStore(database = MemoryDatabase.empty()): Promise<Store> {
  const clients = { writer: new MemoryClient(database), reader: new MemoryClient(database) };
  return openLibsqlStore({ url: "memory:", now: 1, clients });
}

type Asked = { status: number; body: Record<string, unknown>; headers: Headers };

function caller(a: WorldApp) {
  return async (
    method: string,
    path: string,
    body?: unknown,
    more: { key?: string; token?: string; remote?: string } = {},
  ): Promise<Asked> => {
    const { key, token = "root", remote = "10.1.2.3" } = more;
    const headers = {
      Authorization: `Bearer ${token}`,
      ...(key === undefined ? {} : { "Idempotency-Key": key }),
    };
    const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
    const answer = await a.app.request(`/api/queue/tasks${path}`, init, { remote });
    return {
      status: answer.status,
      body: (await answer.json()) as Record<string, unknown>,
      headers: answer.headers,
    };
  };
}

async function open(more: { backlog?: number } = {}) {
  const world = await fleet(1);
  if (world.store === null) throw new Error("no store");
  const table = world.store.taskTable();
  const queue = await openQueue(table, more);
  const a = openWorldApp(world, undefined, undefined, queue);
  return { a, queue, table, call: caller(a) };
}

const TASK = { class: "batch", priority: "low", type: "train" };

test("C15: tasks are submitted, listed, leased, kept, completed and cancelled", async () => {
  const { call } = await open();
  const made = await call("POST", "", TASK);
  expect(made).toMatchObject({ status: 201, body: { ...TASK, state: "pending", by: "admin" } });
  expect(Object.keys(made.body)).not.toContain("lease");
  const held = await call("POST", "", { ...TASK, hold: true });
  const got = await call("POST", "/lease", { worker: "w-1", max: 5 });
  const [task] = got.body as unknown as Record<string, unknown>[];
  expect([got.status, task?.["id"], task?.["worker"]]).toEqual([200, made.body["id"], "w-1"]);
  const [id, lease] = [`${task?.["id"]}`, `${task?.["lease"]}`];
  expect((await call("POST", `/${id}/heartbeat`, { lease })).status).toBe(200);
  expect((await call("POST", `/${id}/heartbeat`, { lease: "other" })).status).toBe(409);
  const done = await call("POST", `/${id}/complete`, { lease, result: "42" });
  expect(done).toMatchObject({ status: 200, body: { state: "completed", result: "42" } });
  expect((await call("POST", `/${id}/complete`, { lease, result: "42" })).status).toBe(200);
  expect((await call("GET", `/${id}`)).body).toEqual(done.body);
  expect((await call("DELETE", `/${id}`)).status).toBe(409);
  const ended = await call("DELETE", `/${held.body["id"]}`);
  expect(ended).toMatchObject({ status: 200, body: { state: "cancelled" } });
  expect((await call("DELETE", `/${held.body["id"]}`)).status).toBe(200);
  expect((await call("DELETE", "/none")).status).toBe(404);
  const list = (await call("GET", "?state=completed")).body as unknown as { id: string }[];
  expect(list.map((one) => one.id)).toEqual([id]);
  const first = await call("GET", "?limit=1");
  expect((first.body as unknown as { id: string }[])[0]?.id).toBe(`${held.body["id"]}`);
  const link = /tasks(\?[^>]+)>; rel="next"/.exec(first.headers.get("Link") ?? "")?.[1] ?? "";
  const second = (await call("GET", link)).body as unknown as { id: string }[];
  expect(second[0]?.id).toBe(id);
});

test("C15: under one Idempotency-Key a task is one, also after it has ended", async () => {
  const { call } = await open();
  const one = await call("POST", "", { ...TASK, type: "noop" }, { key: "k-1" });
  expect(one.status).toBe(201);
  for (;;) {
    const { body } = await call("GET", "/k-1");
    if (body["state"] === "completed") break;
    await Bun.sleep(10);
  }
  const two = await call("POST", "", { ...TASK, type: "noop" }, { key: "k-1" });
  expect([two.status, two.body["state"]]).toEqual([200, "completed"]);
  const other = await call("POST", "", { ...TASK, type: "x" }, { key: "k-1" });
  expect([other.status, other.body["code"]]).toEqual([409, "conflict"]);
  const got = await call("GET", "");
  expect((got.body as unknown as unknown[]).length).toBe(1);
});

test("C15: administrators on internal networks submit, operators only work", async () => {
  const { call, a } = await open();
  const made = await a.call("POST", "/v1/tokens", { role: "operator", label: "w" });
  const token = `${made.body["token"]}`;
  expect((await call("POST", "", TASK, { token })).status).toBe(403);
  expect((await call("GET", "", undefined, { token })).status).toBe(403);
  expect((await call("POST", "/lease", { worker: "w" }, { token })).status).toBe(200);
  const remote = "203.0.113.9";
  expect((await call("POST", "/lease", { worker: "w" }, { token, remote })).status).toBe(403);
  expect((await call("GET", "", undefined, { token: "wrong" })).status).toBe(401);
  for (const body of [{}, { ...TASK, class: "x" }, { ...TASK, gpus: 0 }, { ...TASK, more: 1 }]) {
    expect((await call("POST", "", body)).status).toBe(400);
  }
});

test("C55: a full class answers 429 with Retry-After", async () => {
  const { call } = await open({ backlog: 1 });
  for (let i = 0; i < 4; i++) {
    const { status } = await call("POST", "", { class: "maintenance", type: "x", hold: true });
    expect(status).toBe(201);
  }
  const full = await call("POST", "", { class: "maintenance", type: "x" });
  expect([full.status, full.body["code"], full.headers.get("Retry-After")]).toEqual([
    ...[429, "rate_limited", "60"],
  ]);
  expect(full.body["error"]).toContain("4 tasks of class maintenance wait");
});

test("C53: tasks survive a restart, and no task is lost or done twice by one", async () => {
  const database = MemoryDatabase.empty();
  const first = await openQueue((await openStore(database)).taskTable());
  const ask = { ...TASK, pool: null, gpus: 1, hold: false, payload: null } as const;
  await first.submit({ ...ask, class: "batch", priority: "low" }, "a", "root");
  const leased = await first.lease({ worker: "w", pool: null, max: 1, types: undefined }, "l-1");
  expect(leased).toMatchObject({ kind: "tasks", tasks: [{ id: "a" }] });
  await first.stop();
  const second = await openQueue((await openStore(database)).taskTable());
  const again = await second.lease({ worker: "w", pool: null, max: 1, types: undefined }, "l-1");
  expect(again).toEqual(leased);
  expect(await second.complete("a", "l-1", "x")).toMatchObject({ task: { state: "completed" } });
  expect(await second.complete("a", "l-1", "x")).toMatchObject({ kind: "task", isNew: false });
});

test("C53: a process that no longer leads answers that it does not", async () => {
  const database = MemoryDatabase.empty();
  const old = await openQueue((await openStore(database)).taskTable());
  const next = await openStore(database);
  await next.taskTable().commit([]);
  const ask = { ...TASK, pool: null, gpus: 1, hold: false, payload: null } as const;
  const late = await old.submit({ ...ask, class: "batch", priority: "low" }, "a", "root");
  expect(late).toMatchObject({ kind: "refused", code: "unavailable" });
  expect(await next.taskTable().byId("a")).toBeNull();
});

test("C53: a write that failed, or seemed to, is read again before the next answer", async () => {
  const table = (await openStore()).taskTable();
  let mode: "ok" | "lost" | "refused" = "ok";
  const flaky: TaskTable = {
    ...table,
    async commit(tasks) {
      if (mode === "refused") throw new Error("disk full");
      await table.commit(tasks);
      if (mode === "lost") throw new Error("the answer was lost");
    },
  };
  const queue = await openQueue(flaky);
  const ask = { ...TASK, pool: null, gpus: 1, hold: true, payload: null } as const;
  const submit = (id: string) =>
    queue.submit({ ...ask, class: "batch", priority: "low" }, id, "root");
  mode = "refused";
  expect((await submit("a")).kind).toBe("refused");
  mode = "lost";
  expect((await submit("b")).kind).toBe("refused");
  mode = "ok";
  expect(await submit("a")).toMatchObject({ kind: "task", isNew: true });
  expect(await submit("b")).toMatchObject({ kind: "task", isNew: false });
  expect(queue.figures()?.depth).toEqual([{ class: "batch", priority: "low", pool: "", tasks: 2 }]);
});

test("C53: finished tasks are kept for 7 days", async () => {
  const store = await openStore();
  const table = store.taskTable();
  const queue = await openQueue(table);
  const ask = { ...TASK, pool: null, gpus: 1, hold: true, payload: null } as const;
  await queue.submit({ ...ask, class: "batch", priority: "low" }, "a", "root");
  await queue.cancel("a");
  const ended = (await table.byId("a"))?.endedAt ?? 0;
  expect(TASK_KEPT_MS).toBe(604_800_000);
  await table.trim(ended);
  expect(await table.byId("a")).not.toBeNull();
  await table.trim(ended + 1);
  expect(await table.byId("a")).toBeNull();
});

test("C53: a burst of 200 submissions is one task each", async () => {
  const { call, table } = await open();
  const all = await Promise.all(
    Array.from({ length: 200 }, (_, i) => {
      return call("POST", "", { ...TASK, hold: true }, { key: `b-${i % 100}` });
    }),
  );
  expect(new Set(all.map(({ status }) => status))).toEqual(new Set([200, 201]));
  expect((await table.list({ state: "pending", before: null, limit: 1_000 })).length).toBe(100);
});

test("C58: /metrics has the queue's and the writer's gauges under the guide's names", async () => {
  const { a, call } = await open();
  const pool = { ...TASK, pool: "p", hold: true };
  for (let i = 0; i < 3; i++) await call("POST", "", pool);
  const text = await (await a.app.request("/metrics")).text();
  const names = [
    ...["coordinator_queue_depth", "kai_coordinator_queue_depth"],
    ...["coordinator_queue_processing_rate", "ml_processing_time_seconds"],
    ...["ml_processing_backlog_seconds", "db_connection_utilization", "db_connection_wait_time"],
  ];
  for (const name of names) {
    expect(
      text.match(new RegExp(`^# HELP ${name} \\S.*\\n# TYPE ${name} gauge$`, "gm")),
    ).toHaveLength(1);
  }
  for (const name of names.slice(0, 2)) {
    expect(text).toContain(`\n${name}{class="batch",priority="low",pool="p"} 3\n`);
  }
  expect(Number(/^db_connection_utilization (\S+)$/m.exec(text)?.[1])).toBeWithin(0, 100.01);
  expect(Number(/^db_connection_wait_time (\S+)$/m.exec(text)?.[1])).toBeGreaterThanOrEqual(0);
});

test("C64: depths() has the waiting tasks by priority as they were, and as they are", async () => {
  let now = 0;
  const store = await openStore();
  const queue = await openQueue(store.taskTable(), { clock: { ...CLOCK, wallMs: () => now } });
  const submit = async (id: string, priority: "high" | "low") => {
    const rest = { type: "train", pool: null, gpus: 1, hold: false, payload: null } as const;
    return queue.submit({ class: "batch", priority, ...rest }, id, "test");
  };
  const depths = () =>
    queue
      .depths()
      .map(({ timestamp, depth }) => [Date.parse(timestamp) / 60_000, depth.high, depth.low]);
  await submit("00000000-0000-4000-8000-000000000001", "low");
  now = 5 * 60_000;
  await submit("00000000-0000-4000-8000-000000000002", "high");
  now = 9 * 60_000;
  await queue.cancel("00000000-0000-4000-8000-000000000001");
  now = 60 * 60_000;
  expect(depths().slice(-3)).toEqual([
    [0, 0, 1],
    [5, 1, 1],
    [9, 1, 0],
  ]);
});
