/** The rules of the demand queue (C51–C56), on the pure engine. */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  CLASS_LIMITS,
  type Task,
  TASK_CLASSES,
  TASK_PRIORITIES,
  type TaskAsk,
} from "../../schema/console/queue.ts";
import { Queue, type QueueAnswer } from "../../reconciler/core/console/queue.ts";
import { capacityOf } from "../../reconciler/core/console/capacity.ts";

const SETTINGS = { reserved: 0.2, backlog: 100, leaseMs: 60_000 };
const NOW = 1_700_000_000_000;

function open(settings: Partial<typeof SETTINGS> = {}): Queue {
  return new Queue({ tasks: [], ordinal: 0 }, { ...SETTINGS, ...settings });
}

const ask = (more: Partial<TaskAsk> = {}): TaskAsk => ({
  ...{ class: "batch", priority: "medium", type: "train", pool: null, gpus: 1, hold: false },
  ...{ payload: null, ...more },
});

function submit(queue: Queue, id: string, more: Partial<TaskAsk> = {}, now = NOW): QueueAnswer {
  return queue.submit(ask(more), { id, by: "root", now, known: null });
}

function fill(queue: Queue, count: number, more: Partial<TaskAsk>, now = NOW): void {
  for (let i = 0; i < count; i++) {
    const name = `${more.class ?? "batch"}-${more.priority ?? "medium"}-${more.type ?? ""}-${i}`;
    expect(submit(queue, name, more, now).kind).toBe("task");
  }
}

let leases = 0;
function lease(queue: Queue, max: number, now = NOW): Task[] {
  const want = { worker: "w", pool: null, max, types: undefined };
  const got = queue.lease({ ...want }, { lease: `lease-${++leases}`, now });
  return got.kind === "tasks" ? got.tasks : [];
}

const complete = (queue: Queue, task: Task, now: number): QueueAnswer =>
  queue.finish(
    task.id,
    { lease: task.lease ?? "", now, known: null },
    { kind: "completed", result: null },
  );
const fail = (queue: Queue, task: Task, now: number): QueueAnswer =>
  queue.finish(
    task.id,
    { lease: task.lease ?? "", now, known: null },
    { kind: "failed", error: "no" },
  );
const countBy = (tasks: readonly Task[], key: "class" | "priority"): Record<string, number> =>
  Object.fromEntries([...Map.groupBy(tasks, (one) => one[key])].map(([k, all]) => [k, all.length]));

test("C51: classes run 10, 20 and 5 at once", () => {
  const queue = open({ reserved: 0 });
  for (const name of TASK_CLASSES) fill(queue, 40, { class: name, priority: "high" });
  const begun = lease(queue, 100);
  expect(countBy(begun, "class")).toEqual({ interactive: 10, batch: 20, maintenance: 5 });
  expect(lease(queue, 100)).toEqual([]);
});

test("C51: one slot after the other is shared 100 : 50 : 10, and no class starves", () => {
  const queue = open({ reserved: 0 });
  for (const name of TASK_CLASSES) fill(queue, 400, { class: name, priority: "high" });
  const seen: Task[] = [];
  for (let i = 0; i < 320; i++) {
    const now = NOW + i * 20;
    const [task] = lease(queue, 1, now);
    if (task === undefined) throw new Error("nothing runs");
    seen.push(task);
    complete(queue, task, now);
  }
  const { interactive = 0, batch = 0, maintenance = 0 } = countBy(seen, "class");
  expect([interactive, batch, maintenance].map((one) => Math.round(one / 20))).toEqual([10, 5, 1]);
});

test("C51: a class that was idle takes no more than its share afterwards", () => {
  const queue = open({ reserved: 0 });
  fill(queue, 300, { class: "batch", priority: "high" });
  const run = (count: number, from: number): Task[] =>
    Array.from({ length: count }, (_, i) => {
      const [task] = lease(queue, 1, from + i * 20);
      if (task === undefined) throw new Error("nothing runs");
      complete(queue, task, from + i * 20);
      return task;
    });
  run(100, NOW);
  fill(queue, 100, { class: "interactive", priority: "high" });
  const { batch = 0 } = countBy(run(30, NOW + 10_000), "class");
  expect(batch).toBeGreaterThanOrEqual(9);
});

test("C52: priorities run 50, 30, 20 and 10 at once", () => {
  const tasks = TASK_PRIORITIES.flatMap((priority) => {
    const queue = open({ reserved: 0 });
    for (const name of TASK_CLASSES) fill(queue, 30, { class: name, priority });
    return lease(queue, 100);
  });
  // All classes together have 35 slots, so that the limit of priority high is never met.
  expect(countBy(tasks, "priority")).toEqual({ high: 35, medium: 30, low: 20, batch: 10 });
});

test("C52: starts a second are 100, 50, 25 and 10", () => {
  for (const [priority, perSecond] of [
    ["medium", 50],
    ["low", 25],
    ["batch", 10],
  ] as const) {
    const queue = open({ reserved: 0 });
    fill(queue, 400, { class: "batch", priority });
    let begun = 0;
    const first = (): Task | undefined => lease(queue, 1)[0];
    for (let task = first(); task !== undefined; task = first()) {
      begun++;
      complete(queue, task, NOW);
    }
    expect([priority, begun]).toEqual([priority, perSecond]);
    expect(lease(queue, 100, NOW + 400).length).toBe(Math.min(20, 0.4 * perSecond));
  }
});

test("C52: retries 3/3/2/1 wait 1/2/5/10 s, doubled each time", () => {
  const expected = {
    ...{ high: [1, 2, 4], medium: [2, 4, 8], low: [5, 10], batch: [10] },
  };
  for (const priority of TASK_PRIORITIES) {
    const queue = open();
    submit(queue, "t", { priority });
    const waits: number[] = [];
    let now = NOW;
    for (;;) {
      const [task] = lease(queue, 1, now);
      if (task === undefined) throw new Error("it does not begin again");
      const got = fail(queue, task, now);
      if (got.kind !== "task") throw new Error(got.kind);
      if (got.task.state === "failed") break;
      waits.push((got.task.notBefore - now) / 1_000);
      expect(lease(queue, 1, got.task.notBefore - 1)).toEqual([]);
      now = got.task.notBefore;
    }
    expect([priority, waits]).toEqual([priority, expected[priority]]);
  }
});

test("C53: pending and running tasks can be cancelled, finished ones cannot", () => {
  const queue = open();
  for (const id of ["a", "b", "c"]) submit(queue, id);
  const [a, b] = lease(queue, 2);
  if (a === undefined || b === undefined) throw new Error("none");
  const end = { now: NOW, known: null };
  expect(queue.cancel("a", end)).toMatchObject({ kind: "task", task: { state: "cancelled" } });
  expect(queue.cancel("c", end)).toMatchObject({ kind: "task", task: { state: "cancelled" } });
  expect(queue.cancel("a", end)).toMatchObject({ kind: "task", isNew: false });
  complete(queue, b, NOW);
  expect(queue.cancel("b", end).kind).toBe("conflict");
  expect(queue.cancel("none", end).kind).toBe("absent");
  // The worker of a cancelled task is told to stop, and its result is not taken.
  expect(queue.keep("a", a.lease ?? "", NOW).kind).toBe("absent");
  expect(complete(queue, a, NOW)).toMatchObject({ kind: "conflict" });
});

test("C53: what a worker says counts only under the lease of the newest attempt", () => {
  const queue = open();
  submit(queue, "a");
  const [first] = lease(queue, 1);
  if (first === undefined) throw new Error("none");
  expect(queue.expire(NOW + 59_999)).toBe(false);
  expect(queue.keep("a", first.lease ?? "", NOW + 50_000).kind).toBe("task");
  expect(queue.expire(NOW + 60_000)).toBe(false);
  expect(queue.expire(NOW + 110_000)).toBe(true);
  const [second] = lease(queue, 1, NOW + 120_000);
  expect(second).toMatchObject({ id: "a", attempts: 2 });
  expect(complete(queue, first, NOW + 120_001).kind).toBe("conflict");
  if (second === undefined) throw new Error("none");
  expect(complete(queue, second, NOW + 120_002).kind).toBe("task");
  expect(complete(queue, second, NOW + 120_003)).toMatchObject({ kind: "task", isNew: false });
});

test("C53: asked twice under one key it is one task, and one lease", () => {
  const queue = open();
  expect(submit(queue, "k")).toMatchObject({ kind: "task", isNew: true });
  expect(submit(queue, "k")).toMatchObject({ kind: "task", isNew: false });
  expect(submit(queue, "k", { class: "interactive" }).kind).toBe("conflict");
  submit(queue, "l");
  const want = { worker: "w", pool: null, max: 1, types: undefined };
  const one = queue.lease(want, { lease: "same", now: NOW });
  expect(queue.lease(want, { lease: "same", now: NOW })).toEqual(one);
  expect(queue.tasks().filter(({ state }) => state === "running")).toHaveLength(1);
});

test("C54: five failures in a row open the type's breaker; after 60 s one probe decides", () => {
  const queue = open();
  fill(queue, 10, { type: "bad" });
  fill(queue, 1, { type: "good" });
  const types = ["bad"];
  const take = (max: number, now: number): Task[] => {
    const got = queue.lease(
      { worker: "w", pool: null, max, types },
      { lease: `l${++leases}`, now },
    );
    return got.kind === "tasks" ? got.tasks : [];
  };
  for (const task of take(5, NOW)) fail(queue, task, NOW);
  expect(queue.breakerOf("bad", NOW)).toBe("open");
  expect(take(9, NOW + 59_999)).toEqual([]);
  expect(lease(queue, 9, NOW + 59_999).map(({ type }) => type)).toEqual(["good"]);
  const [probe, ...more] = take(9, NOW + 60_000);
  expect(more).toEqual([]);
  if (probe === undefined) throw new Error("no probe");
  fail(queue, probe, NOW + 60_500);
  expect(take(9, NOW + 120_000)).toEqual([]);
  const [next] = take(9, NOW + 120_500);
  if (next === undefined) throw new Error("no second probe");
  complete(queue, next, NOW + 121_000);
  expect(take(9, NOW + 121_000).length).toBe(9);
});

test("C55: the reserved share of a class's slots is for priority high", () => {
  const queue = open();
  fill(queue, 20, { class: "interactive", priority: "medium" });
  expect(lease(queue, 100)).toHaveLength(8);
  fill(queue, 20, { class: "interactive", priority: "high" });
  expect(countBy(lease(queue, 100), "priority")).toEqual({ high: 2 });
});

test("C55: over the backlog a task is refused with the time to ask again; high goes further", () => {
  const queue = open({ backlog: 1 });
  fill(queue, 16, { class: "batch", priority: "low" });
  const full = submit(queue, "x", { priority: "low" });
  expect(full).toMatchObject({ kind: "full", retryMs: 60_000 });
  fill(queue, 4, { class: "batch", priority: "high" });
  expect(submit(queue, "y", { priority: "high" }).kind).toBe("full");
  expect(submit(queue, "z", { class: "interactive" }).kind).toBe("task");
});

test("C55: slots move with the machines that serve", () => {
  const queue = open({ reserved: 0 });
  fill(queue, 40, { class: "batch", priority: "high" });
  queue.capacity = 0.5;
  expect(lease(queue, 100)).toHaveLength(10);
  queue.capacity = 0;
  expect(TASK_CLASSES.map((name) => queue.slotsOf(name))).toEqual([1, 1, 1]);
  expect(capacityOf({ nodes: new Map(), pools: new Map() })).toBe(1);
});

test("C56: a pool's demand is what waits for it and runs on it, without held tasks", () => {
  const queue = open();
  fill(queue, 3, { pool: "train", gpus: 4 });
  submit(queue, "held", { pool: "train", hold: true });
  submit(queue, "other", { pool: "p2" });
  lease(queue, 1);
  expect(queue.demandOf("train")).toEqual({ pending: 2, all: 3, pendingGpus: 8, gpus: 12 });
  expect(queue.depth().reduce((sum, { tasks }) => sum + tasks, 0)).toBe(4);
});

test("A8: a held task waits until it is released; noop tasks run by themselves", () => {
  const queue = open();
  submit(queue, "h", { hold: true });
  submit(queue, "n", { type: "noop" });
  submit(queue, "nh", { type: "noop", hold: true });
  queue.runOwn("own", NOW);
  queue.runOwn("own", NOW + 1);
  expect(queue.tasks().map(({ id, state }) => [id, state])).toEqual([
    ["h", "pending"],
    ["nh", "pending"],
  ]);
  expect(lease(queue, 9)).toEqual([]);
  queue.release("h", null);
  expect(lease(queue, 9).map(({ id }) => id)).toEqual(["h"]);
});

const step = fc.oneof(
  fc.record({
    do: fc.constant("submit" as const),
    class: fc.constantFrom(...TASK_CLASSES),
    priority: fc.constantFrom(...TASK_PRIORITIES),
    type: fc.constantFrom("a", "b", "noop"),
    hold: fc.boolean(),
  }),
  fc.record({ do: fc.constant("lease" as const), max: fc.integer({ min: 1, max: 20 }) }),
  fc.record({ do: fc.constantFrom("done", "fail", "cancel", "own" as const), at: fc.nat(50) }),
  fc.record({ do: fc.constant("pass" as const), ms: fc.integer({ min: 0, max: 90_000 }) }),
);

test("C51–C55: in any order of events the limits hold, and a copy of the rows is the queue", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const queue = open();
      const rows = new Map<string, Task>();
      let now = NOW;
      steps.forEach((one, index) => {
        const running = queue.tasks().filter(({ state }) => state === "running");
        if (one.do === "submit") submit(queue, `t${index}`, { ...one } as Partial<TaskAsk>, now);
        if (one.do === "lease") lease(queue, one.max, now);
        if (one.do === "pass") now += one.ms;
        if ("at" in one) {
          const task = running[one.at % Math.max(1, running.length)];
          if (one.do === "own") queue.runOwn(`own-${index}`, now);
          else if (task !== undefined && one.do === "done") complete(queue, task, now);
          else if (task !== undefined && one.do === "fail") fail(queue, task, now);
          else if (task !== undefined) queue.cancel(task.id, { now, known: null });
        }
        queue.expire(now);
        for (const task of queue.takeDirty()) rows.set(task.id, task);
        const live = queue.tasks().filter(({ state }) => state === "running");
        for (const name of TASK_CLASSES) {
          const mine = live.filter((task) => task.class === name);
          expect(mine.length).toBeLessThanOrEqual(CLASS_LIMITS[name].slots);
        }
      });
      const again = new Queue({ tasks: [...rows.values()], ordinal: 0 }, SETTINGS);
      const sorted = (all: Task[]): Task[] => all.toSorted((a, b) => a.ordinal - b.ordinal);
      expect(sorted(again.tasks())).toEqual(sorted(queue.tasks()));
      for (const task of rows.values()) {
        expect(task.endedAt !== null).toBe(!["pending", "running"].includes(task.state));
      }
    }),
    { numRuns: 300 },
  );
});
