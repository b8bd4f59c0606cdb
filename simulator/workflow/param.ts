/** Reads the parameters of a task; an unreadable one names the field and the type it expects. */
import * as v from "valibot";
import { TaskError } from "./task.ts";
import { parseDuration } from "../../schema/duration.ts";

/** A duration as Go writes it, in milliseconds. */
export const duration = v.pipe(
  v.string("expected a duration such as 30s"),
  v.rawTransform<string, number>(({ dataset, addIssue, NEVER }) => {
    const read = parseDuration(dataset.value);
    if (read.ok) return read.ms;
    addIssue({ message: `expected a duration such as 30s: ${read.message}` });
    return NEVER;
  }),
);

/** Parameters that are absent are an empty map. */
export function readParams<T>(schema: v.GenericSchema<unknown, T>, params: unknown): T {
  const read = v.safeParse(schema, params ?? {});
  if (read.success) return read.output;
  const [issue] = read.issues;
  const path = v.getDotPath(issue);
  throw new TaskError(
    `failed to parse parameters: ${path === null ? "" : `${path}: `}${issue.message}`,
  );
}
