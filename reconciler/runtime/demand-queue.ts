/**
 * Serves the demand queue of the leader: one turn at a time applies what was asked, writes all
 * changed rows in one transaction, and only then answers. A write that failed may have happened, so
 * the queue is then read again from the table.
 */
import type { DepthSample } from "../../schema/console/hpa.ts";
import { type QueueDepth, type Task, TASK_PRIORITIES } from "../../schema/console/queue.ts";
import type { Clock, Log } from "../core/clock.ts";
import type { DemandAnswer, DemandQueue, QueueFigures } from "../core/console/demand.ts";
import { History } from "../core/console/history.ts";
import { Queue, type QueueAnswer, type QueueSettings } from "../core/console/queue.ts";
import type { QueueSight } from "../core/fleet.ts";
import { StaleEpoch } from "../core/store.ts";
import type { TaskTable } from "../core/store-table.ts";

export type QueuePorts = {
  table: TaskTable;
  clock: Clock;
  log: Log;
  newId(): string;
  leads(): boolean;
  settings(): QueueSettings;
  /** Share of the wanted machines that serve now, 0…1. */
  capacity(): number;
};

/** Finished tasks are kept this long. */
export const TASK_KEPT_MS = 7 * 24 * 3_600_000;
const TRIM_MS = 600_000;
/** After a failed write. */
const TROUBLE_MS = 1_000;
/** Requests that wait for the next turn. */
const ASKED_MAX = 1_000;
/** What a pool's tasks asked for counts until then, so that an empty queue is known to be empty. */
const SEEN_POOLS_MAX = 1_000;

type Asked = {
  /** The task's id, where a finished one may be asked about. */
  id: string | null;
  act(queue: Queue, known: Task | null, now: number): QueueAnswer;
  done(answer: DemandAnswer): void;
};

const refusal = (message: string): DemandAnswer => ({
  ...{ kind: "refused", code: "unavailable", message },
});
const MOVED: DemandAnswer = refusal("this replica no longer leads: ask again");

export class LedQueue implements DemandQueue {
  private readonly ports: QueuePorts;
  private queue: Queue;
  private asked: Asked[] = [];
  private running: Promise<void> | null = null;
  private cancelTimer: (() => void) | null = null;
  private isStopped = true;
  private isUnsure = false;
  private trimmedMono = Number.NEGATIVE_INFINITY;
  private problem: string | null = null;
  private readonly seenPools = new Set<string>();
  private readonly history = new History<DepthSample["depth"]>((one, other) => {
    return TASK_PRIORITIES.every((name) => one[name] === other[name]);
  });

  private constructor(ports: QueuePorts, queue: Queue) {
    this.ports = ports;
    this.queue = queue;
  }

  static async open(ports: QueuePorts): Promise<LedQueue> {
    return new LedQueue(ports, new Queue(await ports.table.open(), ports.settings()));
  }

  start(): void {
    this.isStopped = false;
    this.wakeUp();
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    this.cancelTimer?.();
    await this.running;
    for (const { done } of this.asked.splice(0)) done(MOVED);
  }

  submit: DemandQueue["submit"] = (ask, id, by) =>
    this.ask(id, (queue, known, now) => queue.submit(ask, { id, by, now, known }));
  lease: DemandQueue["lease"] = (ask, lease) =>
    this.ask(null, (queue, _known, now) => queue.lease(ask, { lease, now }));
  keep: DemandQueue["keep"] = (id, lease) =>
    this.ask(id, (queue, _known, now) => queue.keep(id, lease, now));
  complete: DemandQueue["complete"] = (id, lease, result) =>
    this.ask(id, (queue, known, now) => {
      return queue.finish(id, { lease, now, known }, { kind: "completed", result });
    });
  fail: DemandQueue["fail"] = (id, lease, error) =>
    this.ask(id, (queue, known, now) => {
      return queue.finish(id, { lease, now, known }, { kind: "failed", error });
    });
  cancel: DemandQueue["cancel"] = (id) =>
    this.ask(id, (queue, known, now) => queue.cancel(id, { now, known }));
  release: DemandQueue["release"] = (id) =>
    this.ask(id, (queue, known) => queue.release(id, known));

  find(id: string): Promise<Task | null> {
    return this.ports.table.byId(id);
  }

  figures(): QueueFigures | null {
    if (!this.ports.leads()) return null;
    const { queue } = this;
    queue.rate.look(this.ports.clock.wallMs());
    return {
      depth: queue.depth(),
      perSecond: queue.rate.perSecond(),
      meanSeconds: queue.rate.meanSeconds(),
      backlogSeconds: queue.backlogSeconds(),
    };
  }

  depths(): DepthSample[] {
    const now = this.ports.clock.wallMs();
    if (!this.ports.leads()) return [];
    this.history.note(byPriority(this.queue.depth()), now);
    return this.history.read(now).map(({ at, value }) => {
      return { timestamp: new Date(at).toISOString(), depth: value };
    });
  }

  demandOf(pool: string): QueueSight | null {
    const { all, pending, gpus, pendingGpus } = this.queue.demandOf(pool);
    if (all > 0 && this.seenPools.size < SEEN_POOLS_MAX) this.seenPools.add(pool);
    if (all === 0 && !this.seenPools.has(pool)) return null;
    return {
      ...{ pendingJobs: pending, queueDepth: all, pendingGpus, gpuDepth: gpus },
      ...{ observedAt: this.ports.clock.wallMs(), source: "queue" },
    };
  }

  private ask(id: string | null, act: Asked["act"]): Promise<DemandAnswer> {
    if (this.isStopped) return Promise.resolve(MOVED);
    if (this.asked.length >= ASKED_MAX) {
      const message = `${ASKED_MAX} requests wait for the store`;
      return Promise.resolve({ kind: "full", message, retryMs: 1_000 });
    }
    return new Promise((done) => {
      this.asked.push({ id, act, done });
      this.wakeUp();
    });
  }

  private wakeUp(): void {
    if (this.isStopped || this.running !== null) return;
    this.cancelTimer?.();
    this.cancelTimer = null;
    this.running = this.turn().finally(() => {
      this.running = null;
      if (this.asked.length > 0) this.arm(this.problem === null ? 0 : TROUBLE_MS);
      else this.armDue();
    });
  }

  private armDue(): void {
    const { clock } = this.ports;
    const now = clock.wallMs();
    const due = this.queue.dueAt(now);
    const ms = due === null ? TRIM_MS : Math.max(0, due - now);
    this.arm(Math.max(ms, this.problem === null ? 0 : TROUBLE_MS));
  }

  private arm(ms: number): void {
    if (this.isStopped) return;
    this.cancelTimer?.();
    this.cancelTimer = this.ports.clock.after(ms, () => this.wakeUp());
  }

  /** Applies, writes, then answers. Never rejects. */
  private async turn(): Promise<void> {
    const { clock, table, log, leads, settings, capacity, newId } = this.ports;
    const asked = this.asked.splice(0);
    const refuse = (message: string): void => {
      for (const { done } of asked) done(refusal(message));
    };
    if (!leads()) return refuse("this replica does not lead: ask again");
    try {
      if (this.isUnsure) {
        this.queue = new Queue(await table.open(), settings(), this.queue.kept());
        this.isUnsure = false;
      }
      const known = await this.readKnown(asked);
      const now = clock.wallMs();
      const { queue } = this;
      this.isUnsure = true;
      queue.settings = settings();
      queue.capacity = capacity();
      queue.expire(now);
      const answers = asked.map(({ id, act }) => {
        return act(queue, id === null ? null : (known.get(id) ?? null), now);
      });
      queue.runOwn(newId(), now);
      const rows = queue.takeDirty();
      if (rows.length > 0) await table.commit(rows);
      this.isUnsure = false;
      this.history.note(byPriority(queue.depth()), now);
      if (this.problem !== null) log("info", "the demand queue is kept again");
      this.problem = null;
      asked.forEach(({ done }, index) => {
        const answer = answers[index];
        if (answer !== undefined) done(answer);
      });
      await this.trim(now);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (error instanceof StaleEpoch) return refuse("this replica no longer leads: ask again");
      if (this.problem !== message) log("warn", "the demand queue cannot be kept", { message });
      this.problem = message;
      refuse(`it could not be stored: ${message}`);
    }
  }

  /** Finished tasks of the ids that were asked about. */
  private async readKnown(asked: readonly Asked[]): Promise<Map<string, Task>> {
    const known = new Map<string, Task>();
    const ids = new Set(asked.flatMap(({ id }) => (id === null ? [] : [id])));
    for (const id of ids) {
      if (this.queue.find(id) !== null) continue;
      const task = await this.ports.table.byId(id);
      if (task !== null) known.set(id, task);
    }
    return known;
  }

  private async trim(now: number): Promise<void> {
    const mono = this.ports.clock.monoMs();
    if (mono - this.trimmedMono < TRIM_MS) return;
    this.trimmedMono = mono;
    await this.ports.table.trim(now - TASK_KEPT_MS);
  }
}

function byPriority(rows: readonly QueueDepth[]): DepthSample["depth"] {
  const depth = { high: 0, medium: 0, low: 0, batch: 0 };
  for (const { priority, tasks } of rows) depth[priority] += tasks;
  return depth;
}
