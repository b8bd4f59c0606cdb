/**
 * Reads a workflow file: its name, its description and its tasks, before the tasks' parameters are
 * read. An unknown key is refused, with the nearest name. Pure.
 */
import { nearest } from "../../schema/nearest.ts";
import type { TaskDocument } from "./task.ts";
import { readYaml, writtenAs } from "./yaml.ts";

export type WorkflowDocument = {
  name: string;
  description: string;
  tasks: readonly TaskDocument[];
};

export type DocumentAnswer =
  | { ok: true; document: WorkflowDocument }
  /** `yaml`: the text is no YAML at all. */
  | { ok: false; kind: "yaml" | "schema"; message: string };

const KEYS = ["name", "description", "tasks"];
const TASK_KEYS = ["id", "type", "description", "params"];

/** What is wrong with a file; caught in `readDocument` alone. */
class Wrong extends Error {}

export function readDocument(text: string): DocumentAnswer {
  const yaml = readYaml(text);
  if (!yaml.ok) return { ok: false, kind: "yaml", message: `not valid YAML: ${yaml.message}` };
  try {
    return { ok: true, document: documentOf(yaml.value) };
  } catch (cause) {
    if (cause instanceof Wrong) return { ok: false, kind: "schema", message: cause.message };
    throw cause;
  }
}

function documentOf(value: unknown): WorkflowDocument {
  const root = mapOf(value ?? {}, "the file");
  wantKeys(root, KEYS, "");
  const name = textOf(root, "name", "");
  const tasks = root["tasks"] ?? [];
  if (!Array.isArray(tasks)) throw new Wrong("tasks: expected a list of tasks");
  if (tasks.length === 0) throw new Wrong(`test ${name} has no tasks`);
  return { name, description: textOf(root, "description", ""), tasks: tasks.map(taskOf) };
}

function taskOf(value: unknown, index: number): TaskDocument {
  const place = `tasks[${index}]`;
  const task = mapOf(value ?? {}, place);
  wantKeys(task, TASK_KEYS, `${place}: `);
  const id = textOf(task, "id", `${place}.`);
  if (id === "") throw new Wrong(`missing task ID for ${place}`);
  const type = textOf(task, "type", `${place}.`);
  if (type === "") throw new Wrong(`missing task type for ${place}`);
  const description = textOf(task, "description", `${place}.`);
  const params = mapOf(task["params"] ?? {}, `${type}/${id}: failed to parse parameters: params`);
  return { id, type, description, params };
}

function mapOf(value: unknown, place: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Wrong(`${place}: expected a map of names and values`);
  }
  return value as Record<string, unknown>;
}

/** A scalar as it was written; empty if it is absent. */
function textOf(map: Record<string, unknown>, key: string, place: string): string {
  const value = map[key];
  if (value === undefined || value === null) return "";
  if (typeof value === "object") throw new Wrong(`${place}${key}: expected text`);
  return writtenAs(map, key) ?? String(value);
}

function wantKeys(map: object, allowed: readonly string[], place: string): void {
  for (const key of Object.keys(map)) {
    if (!allowed.includes(key)) throw new Wrong(`${place}${unknownKey(key, allowed)}`);
  }
}

/** `unknown key "taks": did you mean "tasks"?`, or the allowed ones. */
export function unknownKey(key: string, allowed: readonly string[]): string {
  const close = nearest(key, allowed);
  const hint = close === null ? `; expected ${allowed.join(", ")}` : `: did you mean "${close}"?`;
  return `unknown key ${JSON.stringify(key)}${hint}`;
}
