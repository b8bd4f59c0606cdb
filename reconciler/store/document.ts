/** Parses stored documents: JSON text to a validated value. Pure. */
import * as v from "valibot";
import { Fact } from "../../schema/safety.ts";

const WHY_CHARS_MAX = 300;

export type ReadDoc<T> = { ok: true; value: T } | { ok: false; reason: string };

/** Reads one stored document; `reason` is the first thing that is wrong with it, with its path. */
export function readDoc<S extends v.GenericSchema>(
  schema: S,
  doc: string,
): ReadDoc<v.InferOutput<S>> {
  const raw = readJson(doc);
  if (!raw.ok) return raw;
  const parsed = v.safeParse(schema, raw.value);
  if (parsed.success) return { ok: true, value: parsed.output };
  const issue = parsed.issues[0];
  const reason = `${v.getDotPath(issue) ?? "document"}: ${issue.message}`;
  return { ok: false, reason: reason.slice(0, WHY_CHARS_MAX) };
}

export function readJson(doc: string): ReadDoc<unknown> {
  try {
    return { ok: true, value: JSON.parse(doc) };
  } catch {
    return { ok: false, reason: `not JSON, ${doc.length} characters` };
  }
}

/** For rows that are not quarantined: throws if the document is unreadable. */
export function parseDoc<S extends v.GenericSchema>(
  schema: S,
  doc: string,
  what: string,
): v.InferOutput<S> {
  const read = readDoc(schema, doc);
  if (read.ok) return read.value;
  throw new Error(`${what}: stored document is invalid at ${read.reason}`);
}

const KINDS = new Set<string>(Fact.options.map((option) => option.entries.kind.literal));

/** `null` for a kind of a newer release, which must not prevent a start. */
export function readFact(doc: string): ReadDoc<Fact | null> {
  const kind = readDoc(v.looseObject({ kind: v.string() }), doc);
  if (!kind.ok) return kind;
  return KINDS.has(kind.value.kind) ? readDoc(Fact, doc) : { ok: true, value: null };
}
