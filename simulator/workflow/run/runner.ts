/**
 * Runs workflows for a server: the control plane, and `navarch sim -port`. Templates and objects of
 * one run are known to the next; what a run creates is noted for its own cleanup, or for the
 * server's.
 */
import type { Clock } from "../../../reconciler/core/clock.ts";
import type {
  WorkflowAnswer,
  WorkflowEnd,
  WorkflowOrder,
  WorkflowRunner,
  WorkflowSource,
} from "../../../reconciler/core/workflow.ts";
import type { KubeApi } from "../../../reconciler/kubernetes/api.ts";
import { cleanUp } from "../cleanup.ts";
import type { Fleet } from "../fleet.ts";
import { Made } from "../made.ts";
import { type ReadTask, readWorkflow, type Workflow } from "./read.ts";
import { runWorkflows } from "./run.ts";
import type { State } from "../state.ts";
import { type Run, type Say, TaskError } from "../task.ts";

export type RunnerFrom = Pick<Run, "clock" | "random" | "isStrict" | "isDryRun" | "taints"> & {
  api: KubeApi;
  clock: Clock;
  state: State;
  fleet: Fleet;
  /** A template of this workflow. */
  readText(path: string, source: WorkflowSource): Promise<string>;
  /** What all runs create, under one writer's name; `null` = each run keeps its own. */
  shared: { made: Made; fieldManager: string } | null;
  cleanupMs: number;
};

export function openWorkflowRunner(from: RunnerFrom): WorkflowRunner {
  return {
    whyNot: () => null,
    read(source): WorkflowAnswer {
      const read = readWorkflow(source.text, null);
      if (!read.ok) return read;
      const { workflow } = read;
      const tasks = workflow.tasks.map(({ document: { id }, type }) => ({ id, type: type.name }));
      const run = (order: WorkflowOrder) => perform(from, workflow, source, order);
      return { ok: true, plan: { name: workflow.name, tasks, run } };
    },
  };
}

async function perform(
  from: RunnerFrom,
  workflow: Workflow,
  source: WorkflowSource,
  order: WorkflowOrder,
): Promise<WorkflowEnd> {
  const { api, clock, state, fleet, random, isStrict, isDryRun, taints } = from;
  const { signal } = order;
  const made = from.shared?.made ?? new Made();
  const fieldManager = from.shared?.fieldManager ?? order.fieldManager;
  const say: Say = (level, text) => order.tell({ kind: "line", level, text });
  state.beginPost();
  const tasks = workflow.tasks.map((task, index) => told(task, index, order, clock));
  const result = await runWorkflows([{ ...workflow, tasks }], {
    ...{ api, clock, state, fleet, random, isStrict, isDryRun, taints },
    ...{ made, fieldManager, say, signal },
    readText: (path) => from.readText(path, source),
    pause: async () => say("info", "Pause continues at once: a server has no terminal"),
  });
  for (const [index, task] of (result.workflows[0]?.tasks ?? []).entries()) {
    if (task.status !== "skipped") continue;
    order.tell({ kind: "task", index, state: "skipped", ms: null, error: null });
  }
  if (order.cleanup) {
    const timeoutMs = from.cleanupMs;
    await cleanUp({ api, made, clock, say, fieldManager, timeoutMs, keepsNodes: false });
  }
  const { status, message } = result;
  return status === "passed" ? { status, error: null } : { status, error: message ?? status };
}

/** The task, with its start and its end told. */
function told(
  task: ReadTask,
  index: number,
  { tell, signal }: WorkflowOrder,
  clock: Clock,
): ReadTask {
  const perform = async (run: Run): Promise<void> => {
    const startMs = clock.monoMs();
    const say = (state: "passed" | "failed" | "interrupted", error: string | null): void => {
      tell({ kind: "task", index, state, ms: Math.round(clock.monoMs() - startMs), error });
    };
    tell({ kind: "task", index, state: "running", ms: null, error: null });
    try {
      await task.perform(run);
    } catch (cause) {
      const why = cause instanceof TaskError ? cause.message : "internal error";
      say(signal.aborted ? "interrupted" : "failed", signal.aborted ? "interrupted" : why);
      throw cause;
    }
    say("passed", null);
  };
  return { ...task, perform };
}
