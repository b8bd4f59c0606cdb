/**
 * The port to the runner of workflows: ordered tasks against the cluster, which rehearse what an
 * operator does. One adapter runs them (`simulator/workflow/`), another one refuses all of them.
 */
import type { TaskState } from "../../schema/workflow.ts";

/** A workflow as it was posted, with the template files that it names. */
export type WorkflowSource = { text: string; templates: Readonly<Record<string, string>> };

export type WorkflowSay = "info" | "detail" | "warning";

/** What a run tells while it runs; `index` counts tasks from 0 on. */
export type WorkflowNews =
  | { kind: "line"; level: WorkflowSay; text: string }
  | {
      kind: "task";
      index: number;
      state: TaskState;
      /** `null` while it runs. */
      ms: number | null;
      error: string | null;
    };

/** `error` names task and cause. */
export type WorkflowEnd =
  | { status: "passed"; error: null }
  | { status: "failed" | "interrupted"; error: string };

export type WorkflowOrder = {
  /** Written into `managedFields` of all that the run creates. */
  fieldManager: string;
  /** Removes what the run created, also when it failed or was interrupted. */
  cleanup: boolean;
  /** Ends the run; cleanup still follows. */
  signal: AbortSignal;
  tell(news: WorkflowNews): void;
};

export type WorkflowPlan = {
  name: string;
  tasks: readonly { id: string; type: string }[];
  /** Never rejects. */
  run(order: WorkflowOrder): Promise<WorkflowEnd>;
};

export type WorkflowAnswer =
  | { ok: true; plan: WorkflowPlan }
  /** `yaml`: the text is no YAML at all. */
  | { ok: false; kind: "yaml" | "schema"; message: string };

export type WorkflowRunner = {
  /** Why it runs nothing; `null` = it does. */
  whyNot(): string | null;
  /** Reads the whole workflow and sends nothing. */
  read(source: WorkflowSource): WorkflowAnswer;
};

/** A request to this control plane's own API, by an operator whose token nothing stores. */
export type AskSelf = (
  method: "GET" | "POST" | "DELETE",
  /** From the root: `/api/v1/nodes`. */
  path: string,
  body?: object,
) => Promise<{ status: number; text: string }>;

/** Runs nothing, for the reason given. */
export function openNoWorkflows(why: string): WorkflowRunner {
  return {
    whyNot: () => why,
    read: () => ({ ok: false, kind: "schema", message: why }),
  };
}
