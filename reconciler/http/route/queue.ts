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
import type { DemandAnswer, DemandQueue } from "../../core/console/demand.ts";
import { iso } from "../view/node.ts";
import type { Env, RoutePorts, Route } from "./route.ts";
import { refuse, idempotencyKey, queryNumber, readBody, readQuery, Refusal } from "./request.ts";

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

const idOf = (c: Context<Env>): string => c.req.param("id") ?? "";

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
      const message = `no task ${idOf(c)}; finished tasks are kept for 7 days`;
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

export type QueuePorts = RoutePorts & {
  /** The demand queue; the leader serves it. */
  queue: DemandQueue;
};

export const queueRoutes: readonly Route<QueuePorts>[] = [
  {
    at: "GET /api/queue/tasks",
    access: "admin",
    act: ["get", "task"],
    isLeaders: true,
    query: TaskQuery,
    says:
      "tasks of the [demand queue](queue.md), newest first; filter `state`; `limit`, `cursor`; " +
      "the next page is in `Link`; only from internal networks, as all of `/api/queue`",
    run: (c, ports) => list(c, ports),
  },
  {
    at: "POST /api/queue/tasks",
    access: "admin",
    act: ["submit", "task"],
    rows: "shared",
    body: TaskAsk,
    says:
      "submit a task: body `class`, `priority`, `type`, `pool`, `gpus`, `hold`, `payload`; under " +
      "an `Idempotency-Key`, its id, it is one task; 429 with `Retry-After` when the class is full",
    run: async (c, ports) => {
      const ask = await readBody(c, TaskAsk);
      c.set("target", ask.type);
      const id = idempotencyKey(c) ?? ports.newId();
      return answer(c, await ports.queue.submit(ask, id, c.get("principal").name));
    },
  },
  {
    at: "POST /api/queue/tasks/lease",
    access: "operator",
    act: ["lease", "task"],
    rows: "failed",
    body: LeaseAsk,
    says: "take tasks to run: body `worker`, `types`, `pool`, `max`; `Idempotency-Key` is the lease",
    run: async (c, ports) => {
      const ask = await readBody(c, LeaseAsk);
      return answer(c, await ports.queue.lease(ask, idempotencyKey(c) ?? ports.newId()));
    },
  },
  {
    at: "GET /api/queue/tasks/:id",
    access: "admin",
    act: ["get", "task"],
    isLeaders: true,
    says: "a task; finished ones are kept for 7 days",
    run: async (c, ports) => {
      const task = await ports.queue.find(idOf(c));
      return answer(c, task === null ? { kind: "absent" } : { kind: "task", task, isNew: false });
    },
  },
  {
    at: "DELETE /api/queue/tasks/:id",
    access: "admin",
    act: ["cancel", "task"],
    says: "cancel a task that waits or runs; 409 if it is finished",
    run: async (c, ports) => answer(c, await ports.queue.cancel(idOf(c))),
  },
  {
    at: "POST /api/queue/tasks/:id/release",
    access: "admin",
    act: ["release", "task"],
    says: "end the hold of a task",
    run: async (c, ports) => answer(c, await ports.queue.release(idOf(c))),
  },
  {
    at: "POST /api/queue/tasks/:id/heartbeat",
    access: "operator",
    act: ["keep", "task"],
    rows: "failed",
    body: Kept,
    says: "keep a lease: body `lease`",
    run: async (c, ports) => {
      const { lease } = await readBody(c, Kept);
      return answer(c, await ports.queue.keep(idOf(c), lease));
    },
  },
  {
    at: "POST /api/queue/tasks/:id/complete",
    access: "operator",
    act: ["complete", "task"],
    rows: "failed",
    body: Completed,
    says: "a task is done: body `lease`, `result`",
    run: async (c, ports) => {
      const { lease, result } = await readBody(c, Completed);
      return answer(c, await ports.queue.complete(idOf(c), lease, result));
    },
  },
  {
    at: "POST /api/queue/tasks/:id/fail",
    access: "operator",
    act: ["fail", "task"],
    rows: "failed",
    body: Failed,
    says: "an attempt failed: body `lease`, `error`",
    run: async (c, ports) => {
      const { lease, error } = await readBody(c, Failed);
      return answer(c, await ports.queue.fail(idOf(c), lease, error));
    },
  },
];
