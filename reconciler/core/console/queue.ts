/**
 * The demand queue: which task runs next, and what becomes of one that ends. Pure and synchronous:
 * time is an argument, and each change marks the rows to write. The caller answers nobody before
 * these rows are durable; if they cannot be written it opens a new `Queue` from the table.
 */
import {
  CLASS_LIMITS,
  type LeaseAsk,
  NOOP,
  PRIORITY_LIMITS,
  type QueueDepth,
  type Task,
  type TaskAsk,
  TASK_CLASSES,
  TASK_PRIORITIES,
  type TaskClass,
} from "../../../schema/console/queue.ts";
import { backoffMs } from "../turn/backoff.ts";
import { Breakers, Starts } from "./queue-limit.ts";
import { QueueRate } from "./queue-rate.ts";

export type QueueSettings = {
  /** Share of each class's slots that only priority high may use, 0…1. */
  reserved: number;
  /** Pending tasks of a class for each of its slots, before more are refused. */
  backlog: number;
  leaseMs: number;
};

export type QueueAnswer =
  | { kind: "task"; task: Task; isNew: boolean }
  | { kind: "tasks"; tasks: Task[] }
  | { kind: "absent" }
  | { kind: "conflict"; message: string }
  | { kind: "full"; message: string; retryMs: number };

const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 60_000;

export const isOpenTask = ({ state }: Task): boolean => state === "pending" || state === "running";

export class Queue {
  private readonly open = new Map<string, Task>();
  /** Tasks that ended in the changes that are not written yet, and shortly after. */
  private readonly dirty = new Map<string, Task>();
  private readonly starts = new Starts();
  private readonly breakers: Breakers;
  readonly rate: QueueRate;
  /** Start-time fair queuing: the virtual time, and when each class's last task is done by it. */
  private virtual = 0;
  private readonly finishes = new Map<TaskClass, number>();
  private ordinal: number;
  settings: QueueSettings;
  /** Share of the wanted capacity that serves now, 0…1. */
  capacity = 1;

  constructor(
    from: { tasks: readonly Task[]; ordinal: number },
    settings: QueueSettings,
    /** What no table keeps; a new copy of the rows goes on with it. */
    kept: { breakers: Breakers; rate: QueueRate } | null = null,
  ) {
    for (const task of from.tasks) if (isOpenTask(task)) this.open.set(task.id, task);
    this.ordinal = from.ordinal;
    this.settings = settings;
    this.breakers = kept?.breakers ?? new Breakers();
    this.rate = kept?.rate ?? new QueueRate();
  }

  kept(): { breakers: Breakers; rate: QueueRate } {
    return { breakers: this.breakers, rate: this.rate };
  }

  /** Rows to write. They count as written once this is called. */
  takeDirty(): Task[] {
    const rows = [...this.dirty.values()];
    this.dirty.clear();
    return rows;
  }

  tasks(): Task[] {
    return [...this.open.values()];
  }

  find(id: string): Task | null {
    return this.open.get(id) ?? this.dirty.get(id) ?? null;
  }

  /** Tasks of this class that may run at once now: with half of the machines, half of them. */
  slotsOf(name: TaskClass): number {
    const { slots } = CLASS_LIMITS[name];
    return Math.max(1, Math.floor(slots * Math.min(1, this.capacity)));
  }

  /** `known`: a finished task of this id, from the table. */
  submit(ask: TaskAsk, from: { id: string; by: string; now: number; known: Task | null }) {
    const { id, by, now } = from;
    const known = this.find(id) ?? from.known;
    if (known !== null) return repeated(known, ask);
    const full = this.whyFull(ask);
    if (full !== null) return full;
    const task: Task = {
      ...{ ...ask, id, by, at: now, ordinal: ++this.ordinal, state: "pending", attempts: 0 },
      ...{ notBefore: 0, worker: null, lease: null, leaseUntil: null, startedAt: null },
      ...{ endedAt: null, result: null, error: null },
    };
    this.put(task);
    return { kind: "task", task, isNew: true } satisfies QueueAnswer;
  }

  private whyFull({ class: name, priority }: TaskAsk): QueueAnswer | null {
    const { reserved, backlog } = this.settings;
    const max = Math.floor(backlog * this.slotsOf(name));
    const allowed = priority === "high" ? max : Math.max(1, Math.floor(max * (1 - reserved)));
    const pending = this.tasks().filter((one) => one.class === name && one.state === "pending");
    if (pending.length < allowed) return null;
    const rate = this.rate.perSecond();
    const retryMs = rate === 0 ? RETRY_MS_MAX : 1_000 / rate;
    const held = allowed < max ? `, and the rest of ${max} is for priority high` : "";
    return {
      kind: "full",
      message: `${pending.length} tasks of class ${name} wait; ${allowed} may${held}`,
      retryMs: Math.min(RETRY_MS_MAX, Math.max(RETRY_MS_MIN, retryMs)),
    };
  }

  /** Asked again under the same lease, it answers what that lease still holds. */
  lease(ask: LeaseAsk, { lease, now }: { lease: string; now: number }): QueueAnswer {
    const held = this.tasks().filter((one) => one.lease === lease && one.state === "running");
    if (held.length > 0) return { kind: "tasks", tasks: held };
    const { types, pool, worker } = ask;
    const mine = (task: Task): boolean =>
      task.type !== NOOP &&
      (types === undefined || types.includes(task.type)) &&
      (pool === null || task.pool === null || task.pool === pool);
    return { kind: "tasks", tasks: this.begin(mine, ask.max, { lease, worker, now }) };
  }

  /** The control plane's own tasks: what began is done, and what may begin does. */
  runOwn(lease: string, now: number): void {
    for (const task of this.tasks()) {
      if (task.type === NOOP && task.state === "running") this.end(task, "completed", now);
    }
    this.begin(({ type }) => type === NOOP, 100, { lease, worker: "control-plane", now });
  }

  private begin(
    isMine: (task: Task) => boolean,
    max: number,
    by: { lease: string; worker: string; now: number },
  ): Task[] {
    const begun: Task[] = [];
    const { now } = by;
    const waiting = this.waiting(isMine, now);
    while (begun.length < max) {
      const task = this.next(waiting, now);
      if (task === null) break;
      const leaseUntil = now + this.settings.leaseMs;
      const more = { worker: by.worker, lease: by.lease, leaseUntil, startedAt: now };
      const attempts = task.attempts + 1;
      const running: Task = { ...task, ...more, state: "running", attempts };
      this.starts.take(task.priority, now);
      this.breakers.begin(task.type, now);
      this.serve(task.class);
      this.put(running);
      begun.push(running);
    }
    return begun;
  }

  /** What may run as far as it is its own matter, by class; high priorities and old ones first. */
  private waiting(isMine: (task: Task) => boolean, now: number): Map<TaskClass, Task[]> {
    const rank = (task: Task): number => TASK_PRIORITIES.indexOf(task.priority);
    const all = this.tasks().filter((task) => {
      return task.state === "pending" && !task.hold && task.notBefore <= now && isMine(task);
    });
    all.sort((a, b) => rank(a) - rank(b) || a.ordinal - b.ordinal);
    return Map.groupBy(all, (task) => task.class);
  }

  /** Takes the next task out of `waiting`: of the class that was served least for its weight. */
  private next(waiting: Map<TaskClass, Task[]>, now: number): Task | null {
    const running = this.tasks().filter(({ state }) => state === "running");
    const classes = TASK_CLASSES.filter((name) => (waiting.get(name)?.length ?? 0) > 0);
    classes.sort((a, b) => this.startOf(a) - this.startOf(b));
    for (const name of classes) {
      const tasks = waiting.get(name) ?? [];
      const index = tasks.findIndex((task) => this.mayBegin(task, running, now));
      const [task] = index < 0 ? [] : tasks.splice(index, 1);
      if (task !== undefined) return task;
    }
    return null;
  }

  private mayBegin(task: Task, running: readonly Task[], now: number): boolean {
    const { class: name, priority, type } = task;
    const slots = this.slotsOf(name);
    const inClass = running.filter((one) => one.class === name);
    if (inClass.length >= slots) return false;
    const reserved = Math.min(slots - 1, Math.ceil(slots * this.settings.reserved));
    const others = inClass.filter((one) => one.priority !== "high").length;
    if (priority !== "high" && others >= slots - reserved) return false;
    const alike = running.filter((one) => one.priority === priority).length;
    if (alike >= PRIORITY_LIMITS[priority].slots) return false;
    return this.starts.has(priority, now) && this.breakers.allows(type, now);
  }

  /** A class that had nothing to do has saved nothing up. */
  private startOf(name: TaskClass): number {
    return Math.max(this.virtual, this.finishes.get(name) ?? 0);
  }

  private serve(name: TaskClass): void {
    this.virtual = this.startOf(name);
    this.finishes.set(name, this.virtual + 1 / CLASS_LIMITS[name].weight);
  }

  /** A worker says that it still runs what it leased. */
  keep(id: string, lease: string, now: number): QueueAnswer {
    const found = this.leased(id, lease);
    if (!("task" in found)) return found;
    const task = { ...found.task, leaseUntil: now + this.settings.leaseMs };
    this.put(task);
    return { kind: "task", task, isNew: false };
  }

  /** `known`: a finished task of this id, from the table: the end of an attempt may be repeated. */
  finish(
    id: string,
    by: { lease: string; now: number; known: Task | null },
    outcome: { kind: "completed"; result: string | null } | { kind: "failed"; error: string },
  ): QueueAnswer {
    const { lease, now, known } = by;
    const over = this.find(id) ?? known;
    const isSame = over?.lease === lease && over.state === outcome.kind;
    if (over !== null && isSame) return { kind: "task", task: over, isNew: false };
    const found = this.leased(id, lease);
    if (!("task" in found)) return over === null || found.kind !== "absent" ? found : late(over);
    const { task } = found;
    const ended =
      outcome.kind === "completed"
        ? this.end({ ...task, result: outcome.result }, "completed", now)
        : this.fail(task, outcome.error, now);
    return { kind: "task", task: ended, isNew: false };
  }

  private leased(id: string, lease: string): { task: Task } | QueueAnswer {
    const task = this.open.get(id) ?? null;
    if (task === null) return { kind: "absent" };
    if (task.state === "running" && task.lease === lease) return { task };
    return late(task);
  }

  /** After the last retry it is failed; before, it waits. */
  private fail(task: Task, error: string, now: number): Task {
    this.breakers.fail(task.type, now);
    const { retries, backoffMs: firstMs } = PRIORITY_LIMITS[task.priority];
    if (task.attempts > retries) return this.end({ ...task, error }, "failed", now);
    const notBefore = now + backoffMs(task.attempts, firstMs, Number.POSITIVE_INFINITY);
    const waiting: Task = { ...task, state: "pending", notBefore, leaseUntil: null, error };
    this.put(waiting);
    return waiting;
  }

  private end(task: Task, state: "completed" | "failed" | "cancelled", now: number): Task {
    const ended: Task = { ...task, state, endedAt: now, leaseUntil: null };
    if (state === "completed") {
      this.breakers.succeed(task.type);
      this.rate.note(now, now - (task.startedAt ?? now));
    }
    if (state === "cancelled" && task.state === "running") this.breakers.release(task.type);
    this.put(ended);
    return ended;
  }

  cancel(id: string, from: { now: number; known: Task | null }): QueueAnswer {
    const task = this.find(id) ?? from.known;
    if (task === null) return { kind: "absent" };
    if (task.state === "cancelled") return { kind: "task", task, isNew: false };
    if (!isOpenTask(task)) {
      const message = `task ${id} has ${task.state}; a finished task cannot be cancelled`;
      return { kind: "conflict", message };
    }
    return { kind: "task", task: this.end(task, "cancelled", from.now), isNew: false };
  }

  /** Ends the hold of a task. */
  release(id: string, known: Task | null): QueueAnswer {
    const task = this.find(id) ?? known;
    if (task === null) return { kind: "absent" };
    if (!isOpenTask(task) || !task.hold) return { kind: "task", task, isNew: false };
    const released = { ...task, hold: false };
    this.put(released);
    return { kind: "task", task: released, isNew: false };
  }

  /** Attempts whose worker is silent have failed. Returns true if anything changed. */
  expire(now: number): boolean {
    const lost = this.tasks().filter(({ state, leaseUntil, type }) => {
      return state === "running" && type !== NOOP && leaseUntil !== null && leaseUntil <= now;
    });
    for (const task of lost) {
      this.fail(task, `worker ${task.worker ?? ""} was not heard before its lease ended`, now);
    }
    return lost.length > 0;
  }

  /** When something may change by itself: a lease ends, or a task of our own may begin. */
  dueAt(now: number): number | null {
    const dues = this.tasks().flatMap(({ state, leaseUntil, type, hold, notBefore }) => {
      if (state === "running") return type === NOOP ? [now] : [leaseUntil ?? now];
      return type === NOOP && !hold ? [Math.max(now + 1_000, notBefore)] : [];
    });
    return dues.length === 0 ? null : Math.min(...dues);
  }

  /** Tasks that wait. */
  depth(): QueueDepth[] {
    return depthOf(this.tasks());
  }

  /** Seconds until all that waits is done; `null` = unknown. */
  backlogSeconds(): number | null {
    const waiting = this.tasks().filter(({ state }) => state === "pending");
    if (waiting.length === 0) return 0;
    const rate = this.rate.perSecond();
    return rate > 0 ? waiting.length / rate : null;
  }

  /** What a pool's machines have to do: held tasks buy none. */
  demandOf(pool: string): { pending: number; all: number; pendingGpus: number; gpus: number } {
    const sum = { pending: 0, all: 0, pendingGpus: 0, gpus: 0 };
    for (const task of this.open.values()) {
      if (task.pool !== pool || task.hold || task.type === NOOP) continue;
      sum.all++;
      sum.gpus += task.gpus;
      if (task.state !== "pending") continue;
      sum.pending++;
      sum.pendingGpus += task.gpus;
    }
    return sum;
  }

  breakerOf(type: string, now: number): "closed" | "open" | "half-open" {
    return this.breakers.stateOf(type, now);
  }

  private put(task: Task): void {
    this.dirty.set(task.id, task);
    if (isOpenTask(task)) this.open.set(task.id, task);
    else this.open.delete(task.id);
  }
}

export function depthOf(tasks: Iterable<Task>): QueueDepth[] {
  const sums = new Map<string, QueueDepth>();
  for (const { state, class: name, priority, pool } of tasks) {
    if (state !== "pending") continue;
    const key = `${name} ${priority} ${pool ?? ""}`;
    const sum = sums.get(key) ?? { class: name, priority, pool: pool ?? "", tasks: 0 };
    sum.tasks++;
    sums.set(key, sum);
  }
  return [...sums.values()];
}

const late = (task: Task): QueueAnswer => ({
  kind: "conflict",
  message:
    task.state === "running"
      ? `task ${task.id} is leased by another attempt; stop this one`
      : `task ${task.id} is ${task.state}; stop this attempt`,
});

function repeated(task: Task, ask: TaskAsk): QueueAnswer {
  const keys = ["class", "priority", "type", "pool", "gpus", "payload"] as const;
  const isSame = keys.every((key) => task[key] === ask[key]);
  if (isSame) return { kind: "task", task, isNew: false };
  const message = `Idempotency-Key ${task.id} was used for a task of class ${task.class}`;
  return { kind: "conflict", message: `${message} and type ${task.type}` };
}
