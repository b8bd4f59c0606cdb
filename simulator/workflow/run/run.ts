/**
 * Runs workflows: their tasks in order, up to the first that fails. Reports what each task took.
 */
import { formatDuration } from "../../../schema/duration.ts";
import { notingFaults } from "../fleet.ts";
import { openGuard } from "../guard.ts";
import { messageOf, type ReadTask, type Workflow } from "./read.ts";
import { type Run, TaskError } from "../task.ts";
import { type FleetPoint, formatTimeline, watchFleet } from "../timeline.ts";

export type TaskResult = {
  id: string;
  type: string;
  description: string;
  /** `skipped`: an earlier task failed, or the task does nothing in a dry run. */
  status: "passed" | "failed" | "interrupted" | "skipped";
  ms: number;
  /** Why it failed, with its type and id; `null` otherwise. */
  message: string | null;
};

export type WorkflowResult = {
  path: string | null;
  name: string;
  description: string;
  tasks: readonly TaskResult[];
  ms: number;
};

export type RunResult = {
  status: "passed" | "failed" | "interrupted";
  workflows: readonly WorkflowResult[];
  /** File, task and cause of the task that failed; `null` if none did. */
  message: string | null;
  /** The control plane's fleet over time; empty without a task that hurts or checks it. */
  fleet: readonly FleetPoint[];
};

/** What `-report` writes. */
export type RunReport = RunResult & {
  /** RFC 3339. */
  startedAt: string;
  ms: number;
  /** Objects of the run that the cleanup could not remove; `null` without a cleanup. */
  left: readonly string[] | null;
};

/** The world of all workflows of an invocation: what one makes, the next knows. `api` is bare. */
export type RunWorld = Omit<Run, "source" | "startedMonoMs" | "readText"> & {
  /** `source`: the workflow file, beside which a relative path is looked for too. */
  readText(path: string, source: string | null): Promise<string>;
};

/** With one of these the fleet is watched while the workflows run. */
const FLEET_TASKS: ReadonlySet<string> = new Set(["InjectFault", "CheckFleet"]);

/** Once it resolves, no task sends anything more: cleanup may begin. Never rejects. */
export async function runWorkflows(
  workflows: readonly Workflow[],
  given: RunWorld,
): Promise<RunResult> {
  const guard = openGuard(given.api, given);
  const isWatched = !given.isDryRun && workflows.some(({ tasks }) => tasks.some(isOfFleet));
  const watch = isWatched ? watchFleet(given.fleet, given.clock) : null;
  try {
    const noting = notingFaults(given.fleet, given.made);
    const result = await runAll(workflows, { ...given, api: guard.api, fleet: noting });
    const fleet = (await watch?.end()) ?? [];
    for (const line of formatTimeline(fleet)) given.say("info", line);
    return { ...result, fleet };
  } finally {
    await guard.end();
    // A task that did not wait for its writes notes their answers now.
    await new Promise<void>((resolve) => void given.clock.after(0, resolve));
  }
}

const isOfFleet = ({ type }: ReadTask): boolean => FLEET_TASKS.has(type.name);

async function runAll(
  workflows: readonly Workflow[],
  given: RunWorld,
): Promise<Omit<RunResult, "fleet">> {
  const results: WorkflowResult[] = [];
  let stopped: TaskResult | null = null;
  let message: string | null = null;
  for (const workflow of workflows) {
    const { path: source } = workflow;
    const readText = (path: string): Promise<string> => given.readText(path, source);
    const startedMs = given.clock.monoMs();
    const run: Run = { ...given, source: { path: source }, startedMonoMs: startedMs, readText };
    if (stopped === null) given.say("info", `Starting workflow ${titleOf(workflow)}`);
    const tasks: TaskResult[] = [];
    for (const task of workflow.tasks) {
      const result: TaskResult = stopped === null ? await runTask(task, run) : skipped(task);
      tasks.push(result);
      if (stopped !== null || result.message === null) continue;
      stopped = result;
      message = workflow.path === null ? result.message : `${workflow.path}: ${result.message}`;
    }
    const { path, name, description } = workflow;
    const ms = Math.round(given.clock.monoMs() - startedMs);
    results.push({ path, name, description, tasks, ms });
  }
  const ended = stopped?.status === "interrupted" ? "interrupted" : "failed";
  return { status: stopped === null ? "passed" : ended, workflows: results, message };
}

const titleOf = ({ name, path }: Workflow): string =>
  [JSON.stringify(name), ...(path === null ? [] : [`(${path})`])].join(" ");

async function runTask(task: ReadTask, run: Run): Promise<TaskResult> {
  const { document, type, perform } = task;
  const { id } = document;
  const title = `${type.name}/${id}`;
  if (run.isDryRun && type.runsDry !== true) return skipped(task);
  const startedMs = run.clock.monoMs();
  run.say("info", `Starting task ${title}`);
  const result = { id, type: type.name, description: document.description };
  const spent = (): number => Math.round(run.clock.monoMs() - startedMs);
  try {
    if (run.signal.aborted) throw new TaskError("interrupted");
    await perform(run);
    const ms = spent();
    run.say("info", `Task ${title} completed in ${formatDuration(ms)}`);
    return { ...result, status: "passed", ms, message: null };
  } catch (cause) {
    const ms = spent();
    run.say("info", `Task ${title} failed after ${formatDuration(ms)}`);
    const isInterrupted = run.signal.aborted;
    const why = isInterrupted ? "interrupted" : explain(cause);
    const message = messageOf(type, document, why);
    return { ...result, status: isInterrupted ? "interrupted" : "failed", ms, message };
  }
}

/** An error that is no `TaskError` is a bug: it fails the task, so that cleanup still runs. */
function explain(cause: unknown): string {
  if (cause instanceof TaskError) {
    const lines = cause.message.split(/[\r\n]/).map((line) => line.trim());
    return lines.filter((line) => line !== "").join("; ");
  }
  return `internal error: ${cause instanceof Error ? cause.message : String(cause)}`;
}

function skipped({ document, type }: ReadTask): TaskResult {
  const { id, description } = document;
  return { id, type: type.name, description, status: "skipped", ms: 0, message: null };
}
