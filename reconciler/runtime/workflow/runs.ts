/**
 * The workflows that this control plane runs: one at a time, in the order in which they came. Each
 * has an audit row before its first task and another at its end. They live in memory; after the
 * process the audit alone tells of them, and a start without an end is a run that died with it.
 */
import type { Role } from "../../../schema/credential.ts";
import type { CommandId } from "../../../schema/id.ts";
import type {
  RunState,
  TaskView,
  WorkflowRunSummary,
  WorkflowRunView,
} from "../../../schema/workflow.ts";
import type { Clock, Log } from "../../core/clock.ts";
import { inTime } from "../../core/turn/time-limit.ts";
import type {
  WorkflowEnd,
  WorkflowNews,
  WorkflowPlan,
  WorkflowRunner,
  WorkflowSource,
} from "../../core/workflow.ts";
import { RunLog } from "./run-log.ts";

/** Runs that wait behind the one that runs. */
export const QUEUE_MAX = 8;
/** Ended runs in memory, newest first. */
export const KEPT_MAX = 50;
/** A run that takes longer is ended, so that it does not hold up the queue for good. */
const RUN_MS_MAX = 24 * 3_600_000;

/** Who asked for a run. */
export type Submitter = { name: string; role: Role; remote: string; request: string };

/** A start or an end, for the audit. */
export type RunRecord = Submitter & {
  id: string;
  verb: "start" | "end";
  at: number;
  /** `ok`, `failed` or `cancelled`. */
  code: string;
  detail: string;
};

export type RunsFrom = {
  runner: WorkflowRunner;
  clock: Clock;
  log: Log;
  newId(): string;
  /** False: the row could not be written. */
  record(row: RunRecord): Promise<boolean>;
};

type Run = {
  id: string;
  key: CommandId | null;
  name: string;
  /** `null` when it has ended: the text and its tasks may be large. */
  plan: WorkflowPlan | null;
  by: Submitter;
  cleanup: boolean;
  submittedAt: number;
  startedAt: number | null;
  endedAt: number | null;
  ms: number | null;
  state: RunState;
  error: string | null;
  cancelledBy: string | null;
  tasks: TaskView[];
  log: RunLog;
  abort: AbortController;
  end: PromiseWithResolvers<void>;
};

export type Submitted =
  | { kind: "ok"; run: WorkflowRunView }
  | { kind: "invalid"; isYaml: boolean; message: string }
  | { kind: "full"; message: string }
  | { kind: "closed" };

export type Cancelled = { kind: "ok"; run: WorkflowRunView } | { kind: "unknown" | "ended" };

export class WorkflowRuns {
  readonly #from: RunsFrom;
  /** Oldest first. */
  readonly #runs = new Map<string, Run>();
  #running: Promise<void> | null = null;
  #closed = false;

  constructor(from: RunsFrom) {
    this.#from = from;
  }

  /** Why nothing runs here; `null` = it does. */
  whyNot(): string | null {
    return this.#from.runner.whyNot();
  }

  submit(
    source: WorkflowSource,
    { by, key, cleanup }: { by: Submitter; key: CommandId | null; cleanup: boolean },
  ): Submitted {
    if (this.#closed) return { kind: "closed" };
    const known = [...this.#runs.values()].find((run) => key !== null && run.key === key);
    if (known !== undefined) return { kind: "ok", run: viewRun(known) };
    const read = this.#from.runner.read(source);
    if (!read.ok) {
      return { kind: "invalid", isYaml: read.kind === "yaml", message: read.message };
    }
    const waiting = this.#queue();
    if (waiting.length >= QUEUE_MAX) {
      const message = `${waiting.length} workflows wait already; try again when one has ended`;
      return { kind: "full", message };
    }
    const run = this.#open(read.plan, by, key, cleanup);
    this.#runs.set(run.id, run);
    this.#next();
    return { kind: "ok", run: viewRun(run) };
  }

  /** Newest first, without their tasks. */
  list(): WorkflowRunSummary[] {
    const views = [...this.#runs.values()].reverse().map(viewRun);
    return views.map(({ tasks: _, ...summary }) => summary);
  }

  get(id: string): { run: WorkflowRunView; log: RunLog } | null {
    const run = this.#runs.get(id);
    return run === undefined ? null : { run: viewRun(run), log: run.log };
  }

  /** The run when it has ended; `null` = unknown. */
  async ended(id: string): Promise<WorkflowRunView | null> {
    const run = this.#runs.get(id);
    if (run === undefined) return null;
    await run.end.promise;
    return viewRun(run);
  }

  /** A run that waits never begins; one that runs ends with its current task. */
  cancel(id: string, by: string): Cancelled {
    const run = this.#runs.get(id);
    if (run === undefined) return { kind: "unknown" };
    if (run.endedAt !== null) return { kind: "ended" };
    run.cancelledBy ??= by;
    run.abort.abort();
    if (run.state === "queued") this.#end(run, "cancelled", `cancelled by ${by} before it began`);
    return { kind: "ok", run: viewRun(run) };
  }

  /** Ends all runs; waits at most `graceMs` for the one that runs, with its cleanup. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    for (const run of this.#runs.values()) {
      if (run.endedAt === null) this.cancel(run.id, "the end of this process");
    }
    const running = this.#running ?? Promise.resolve();
    await inTime(
      this.#from.clock,
      graceMs,
      () => running,
      () => undefined,
    );
  }

  #queue(): Run[] {
    return [...this.#runs.values()].filter(({ state }) => state === "queued");
  }

  #open(plan: WorkflowPlan, by: Submitter, key: CommandId | null, cleanup: boolean): Run {
    const { clock, newId } = this.#from;
    return {
      id: newId(),
      key,
      name: plan.name,
      plan,
      by,
      cleanup,
      submittedAt: clock.wallMs(),
      startedAt: null,
      endedAt: null,
      ms: null,
      state: "queued",
      error: null,
      cancelledBy: null,
      tasks: plan.tasks.map(({ id, type }) => {
        return { id, type, state: "waiting", duration_ms: null, error: null };
      }),
      log: new RunLog(clock),
      abort: new AbortController(),
      end: Promise.withResolvers<void>(),
    };
  }

  #next(): void {
    const [run] = this.#queue();
    if (run === undefined || this.#running !== null || this.#closed) return;
    this.#running = this.#run(run).finally(() => {
      this.#running = null;
      this.#next();
    });
  }

  async #run(run: Run): Promise<void> {
    const { clock } = this.#from;
    const startMono = clock.monoMs();
    run.state = "running";
    run.startedAt = clock.wallMs();
    run.log.tell({ kind: "run", state: "running", error: null });
    const detail = `${JSON.stringify(run.name)}, field manager ${managerOf(run.id)}`;
    const isRecorded = await this.#record(run, { verb: "start", code: "ok", detail });
    const cancel = clock.after(RUN_MS_MAX, () => run.abort.abort());
    const end: WorkflowEnd = isRecorded ? await this.#perform(run) : UNRECORDED;
    cancel();
    run.ms = Math.round(clock.monoMs() - startMono);
    const state = stateOf(run, end);
    const error = explain(run, end, run.ms);
    const code = state === "passed" ? "ok" : state;
    if (isRecorded) await this.#record(run, { verb: "end", code, detail: error ?? "passed" });
    this.#end(run, state, error);
  }

  async #perform(run: Run): Promise<WorkflowEnd> {
    try {
      if (run.plan === null) throw new Error("the run has ended already");
      return await run.plan.run({
        fieldManager: managerOf(run.id),
        cleanup: run.cleanup,
        signal: run.abort.signal,
        tell: (news) => take(run, news),
      });
    } catch (error) {
      this.#from.log("error", "a workflow failed", { id: run.id, error: String(error) });
      return { status: "failed", error: `internal error: ${String(error)}` };
    }
  }

  #record(run: Run, row: Pick<RunRecord, "verb" | "code" | "detail">): Promise<boolean> {
    return this.#from.record({ ...run.by, ...row, id: run.id, at: this.#from.clock.wallMs() });
  }

  #end(run: Run, state: RunState, error: string | null): void {
    run.state = state;
    run.error = error;
    run.endedAt = this.#from.clock.wallMs();
    run.plan = null;
    run.log.tell({ kind: "run", state, error });
    run.log.end();
    run.end.resolve();
    const ended = [...this.#runs.values()].filter(({ endedAt }) => endedAt !== null);
    const excess = ended.slice(0, Math.max(0, ended.length - KEPT_MAX));
    for (const { id } of excess) this.#runs.delete(id);
  }
}

const UNRECORDED: WorkflowEnd = {
  status: "failed",
  error: "nothing was run: the audit row of its start could not be written",
};

/** Of all that the run creates. Field managers have at most 128 characters. */
export const managerOf = (id: string): string => `navarch-workflow-${id}`;

function take(run: Run, news: WorkflowNews): void {
  if (news.kind === "line") return run.log.tell(news);
  const { index, state, ms, error } = news;
  const task = run.tasks[index];
  if (task === undefined) return;
  const next: TaskView = { ...task, state, duration_ms: ms, error };
  run.tasks[index] = next;
  run.log.tell({ kind: "task", index, task: next });
}

function stateOf({ cancelledBy }: Run, { status }: WorkflowEnd): RunState {
  if (status === "passed") return "passed";
  return status === "interrupted" && cancelledBy !== null ? "cancelled" : "failed";
}

function explain({ cancelledBy }: Run, { status, error }: WorkflowEnd, ms: number): string | null {
  if (status !== "interrupted") return error;
  if (cancelledBy !== null) return `cancelled by ${cancelledBy}: ${error}`;
  return ms < RUN_MS_MAX ? error : `ran longer than ${RUN_MS_MAX / 3_600_000} h: ${error}`;
}

const isoOf = (at: number | null): string | null =>
  at === null ? null : new Date(at).toISOString();

function viewRun(run: Run): WorkflowRunView {
  return {
    id: run.id,
    name: run.name,
    state: run.state,
    submitted_by: run.by.name,
    submitted_at: new Date(run.submittedAt).toISOString(),
    started_at: isoOf(run.startedAt),
    ended_at: isoOf(run.endedAt),
    duration_ms: run.ms,
    error: run.error,
    cleanup: run.cleanup,
    field_manager: managerOf(run.id),
    tasks: [...run.tasks],
  };
}
