/** A stored document as what it was: JSON text in, a checked value out. Pure. */
import * as v from "valibot";
import { Fact } from "../../schema/safety.ts";

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

/** None for a kind that a newer release wrote: it must not keep an older one from starting. */
export function parseFact(doc: string): Fact[] {
  const raw = parseDoc(v.looseObject({ kind: v.string() }), doc, "fact");
  const known = Fact.options.some((option) => option.entries.kind.literal === raw.kind);
  return known ? [parseDoc(Fact, doc, "fact")] : [];
}
