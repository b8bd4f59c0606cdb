/** A stored document as what it was: JSON text in, a checked value out. Pure. */
import * as v from "valibot";

/**
 * Parses one stored document; a row that no longer parses is a bug of a migration, so it throws.
 */
export function parseDoc<S extends v.GenericSchema>(
  schema: S,
  doc: string,
  what: string,
): v.InferOutput<S> {
  const parsed = v.safeParse(schema, JSON.parse(doc));
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  throw new Error(
    `${what}: stored document is invalid at ${v.getDotPath(issue) ?? "its root"}: ${issue.message}`,
  );
}
