/** Runs of workflows on the control plane, as its API shows them. Times are RFC 3339. */

export const RUN_STATES = ["queued", "running", "passed", "failed", "cancelled", "lost"] as const;
/** `lost`: the control plane ended before the run did, and nothing was undone. */
export type RunState = (typeof RUN_STATES)[number];

export type TaskState = "waiting" | "running" | "passed" | "failed" | "interrupted" | "skipped";

export type TaskView = {
  id: string;
  type: string;
  state: TaskState;
  duration_ms: number | null;
  error: string | null;
};

export type WorkflowRunView = {
  id: string;
  name: string;
  state: RunState;
  submitted_by: string;
  submitted_at: string;
  started_at: string | null;
  ended_at: string | null;
  duration_ms: number | null;
  /** Task and cause of a failure, or why a run is `lost` or `cancelled`. */
  error: string | null;
  /** What it creates is removed when it ends. */
  cleanup: boolean;
  /** `managedFields[].manager` of what it creates. */
  field_manager: string;
  tasks: TaskView[];
};

/** In the list of runs. */
export type WorkflowRunSummary = Omit<WorkflowRunView, "tasks">;

/** One thing that happened in a run, numbered from 1 on. */
export type WorkflowEvent =
  | { seq: number; kind: "line"; level: "info" | "detail" | "warning"; text: string }
  | { seq: number; kind: "task"; index: number; task: TaskView }
  | { seq: number; kind: "run"; state: RunState; error: string | null };

/** `next` is the `after` of the next request; `ended`: nothing follows. */
export type WorkflowEventsPage = {
  events: WorkflowEvent[];
  /** Events after `after` that are no longer kept. */
  dropped: number;
  next: number;
  ended: boolean;
};
