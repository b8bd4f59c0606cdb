/** What a workflow file says, before its tasks are read. */
import type { TaskDocument } from "./task.ts";

export type WorkflowDocument = {
  name: string;
  description: string;
  tasks: readonly TaskDocument[];
};

export type Problem = { path: string | null; message: string };
