/**
 * The demand queue: `/api/queue/tasks` for those who submit work, and beside it what workers call:
 * lease, heartbeat, complete, fail. Whoever may lease work may end it, by the lease alone.
 */
import type { Context } from "hono";
import * as v from "valibot";
import {
  LeaseAsk,
  type Task,
  TASK_STATES,
  TaskAsk,
  TaskKey,
  taskText,
} from "../../../schema/console/queue.ts";
import type { DemandAnswer } from "../../core/console/demand.ts";
import { iso } from "../view/node.ts";
import type { App, Env, RoutePorts } from "./env.ts";
import {
  refuse,
  asks,
  idempotencyKey,
  needs,
  queryNumber,
  readBody,
  readQuery,
  Refusal,
  takes,
} from "./request.ts";

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1_000;
const LIMIT_EXPECTED = `expected a whole number from 1 to ${LIMIT_MAX}`;

const TaskQuery = v.strictObject({
  state: v.optional(v.picklist(TASK_STATES)),
  limit: v.pipe(
    queryNumber(LIMIT_EXPECTED, 1),
    v.check((limit) => (limit ?? 1) <= LIMIT_MAX, LIMIT_EXPECTED),
  ),
  cursor: queryNumber("expected the ordinal of the last task of the page before", 1),
});

const Kept = v.strictObject({ lease: TaskKey });
const Completed = v.strictObject({ lease: TaskKey, result: v.nullish(taskText, null) });
const Failed = v.strictObject({ lease: TaskKey, error: v.optional(taskText, "") });

export function queueRoutes(api: App, ports: RoutePorts): void {
  const { queue, newId } = ports;
  const may = needs("admin");
  // A worker's token need not be an administrator's.
  const works = needs("operator");
  api.get("/tasks", may, asks(TaskQuery), (c) => list(c, ports));
  api.post("/tasks", may, takes(TaskAsk), async (c) => {
    const ask = await readBody(c, TaskAsk);
    c.set("target", ask.type);
    const id = idempotencyKey(c) ?? newId();
    return answer(c, await queue.submit(ask, id, c.get("principal").name));
  });
  api.post("/tasks/lease", works, takes(LeaseAsk), async (c) => {
    const ask = await readBody(c, LeaseAsk);
    return answer(c, await queue.lease(ask, idempotencyKey(c) ?? newId()));
  });
  api.get("/tasks/:id", may, async (c) => {
    const task = await queue.find(idOf(c));
    return answer(c, task === null ? { kind: "absent" } : { kind: "task", task, isNew: false });
  });
  api.delete("/tasks/:id", may, async (c) => answer(c, await queue.cancel(idOf(c))));
  api.post("/tasks/:id/release", may, async (c) => answer(c, await queue.release(idOf(c))));
  api.post("/tasks/:id/heartbeat", works, takes(Kept), async (c) => {
    const { lease } = await readBody(c, Kept);
    return answer(c, await queue.keep(idOf(c), lease));
  });
  api.post("/tasks/:id/complete", works, takes(Completed), async (c) => {
    const { lease, result } = await readBody(c, Completed);
    return answer(c, await queue.complete(idOf(c), lease, result));
  });
  api.post("/tasks/:id/fail", works, takes(Failed), async (c) => {
    const { lease, error } = await readBody(c, Failed);
    return answer(c, await queue.fail(idOf(c), lease, error));
  });
}

/** The audit names the task. */
function idOf(c: Context<Env>): string {
  const id = c.req.param("id") ?? "";
  c.set("target", id);
  return id;
}

async function list(c: Context<Env>, { store }: RoutePorts): Promise<Response> {
  const { state = null, limit = LIMIT_DEFAULT, cursor = null } = readQuery(c, TaskQuery);
  const tasks = await store.taskTable().list({ state, before: cursor, limit });
  const last = tasks.at(-1);
  if (tasks.length === limit && last !== undefined) {
    const same = new URLSearchParams({ ...c.req.query(), cursor: String(last.ordinal) });
    c.header("Link", `<${c.req.path}?${same}>; rel="next"`);
  }
  return c.json(tasks.map(viewTask));
}

function answer(c: Context<Env>, given: DemandAnswer): Response {
  switch (given.kind) {
    case "task":
      return c.json(viewTask(given.task), given.isNew ? 201 : 200);
    case "tasks":
      // Only the worker that has the lease learns it.
      return c.json(given.tasks.map((task) => ({ ...viewTask(task), lease: task.lease })));
    case "absent": {
      const message = `no task ${c.req.param("id") ?? ""}; finished tasks are kept for 7 days`;
      throw new Refusal("not_found", message);
    }
    case "conflict":
      throw new Refusal("conflict", given.message);
    case "full":
      return refuse(c, "rate_limited", given.message, {}, Math.ceil(given.retryMs / 1_000));
    case "refused":
      throw new Refusal(given.code, given.message);
  }
}

const at = (ms: number | null): string | null => (ms === null ? null : iso(ms));

function viewTask(task: Task) {
  const { lease: _secret, at: created, notBefore, leaseUntil, startedAt, endedAt, ...same } = task;
  return {
    ...same,
    createdAt: at(created),
    notBefore: notBefore === 0 ? null : at(notBefore),
    leaseUntil: at(leaseUntil),
    startedAt: at(startedAt),
    endedAt: at(endedAt),
  };
}
