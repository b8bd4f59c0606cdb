/** A stored document as what it was: JSON text in, a checked value out. Pure. */
import * as v from "valibot";

const WHY_CHARS_MAX = 300;

/**
 * Parses one stored document; a row that no longer parses is a bug of a migration, so it throws.
 */
export function parseDoc<S extends v.GenericSchema>(
  schema: S,
  doc: string,
  what: string,
): v.InferOutput<S> {
  const invalid = (why: string): Error => {
    return new Error(`${what}: stored document is invalid ${why.slice(0, WHY_CHARS_MAX)}`);
  };
  let raw: unknown;
  try {
    raw = JSON.parse(doc);
  } catch {
    throw invalid(`as JSON, ${doc.length} characters`);
  }
  const parsed = v.safeParse(schema, raw);
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  throw invalid(`at ${v.getDotPath(issue) ?? "its root"}: ${issue.message}`);
}
