/**
 * Reads the workflows of an invocation whole, parameters included, before the first task runs. What
 * is wrong names the file, the task and the key.
 */
import { nearest } from "../../../schema/nearest.ts";
import { TASK_TYPES } from "./catalog.ts";
import { readDocument } from "../document.ts";
import { type Task, type TaskDocument, TaskError, type TaskType } from "../task.ts";

export type ReadTask = { document: TaskDocument; type: TaskType; perform: Task };

export type Workflow = {
  /** Of its file; `null` if it was posted. */
  path: string | null;
  name: string;
  description: string;
  tasks: readonly ReadTask[];
};

export type WorkflowAnswer =
  | { ok: true; workflow: Workflow }
  /** `yaml`: the text is no YAML at all. The message does not name the file. */
  | { ok: false; kind: "yaml" | "schema"; message: string };

export function readWorkflow(
  text: string,
  path: string | null,
  types: ReadonlyMap<string, TaskType> = TASK_TYPES,
): WorkflowAnswer {
  const read = readDocument(text);
  if (!read.ok) return read;
  const { name, description } = read.document;
  const tasks: ReadTask[] = [];
  for (const document of read.document.tasks) {
    const type = types.get(document.type);
    if (type === undefined) return schema(unsupported(document.type, [...types.keys()]));
    try {
      tasks.push({ document, type, perform: type.read(document) });
    } catch (cause) {
      if (!(cause instanceof TaskError)) throw cause;
      return schema(messageOf(type, document, cause.message));
    }
  }
  return { ok: true, workflow: { path, name, description, tasks } };
}

/** As the operator sees it: with the task, unless the message of such a type names it. */
export function messageOf(type: TaskType, { id }: TaskDocument, message: string): string {
  const isNamed = !type.isPrefixed && message.includes(`${type.name} task ${id}`);
  return isNamed ? message : `${type.name}/${id}: ${message}`;
}

const schema = (message: string): WorkflowAnswer => ({ ok: false, kind: "schema", message });

function unsupported(given: string, names: readonly string[]): string {
  const close = nearest(given, names);
  const hint = close === null ? `; expected ${names.join(", ")}` : `: did you mean "${close}"?`;
  return `unsupported task type "${given}"${hint}`;
}
