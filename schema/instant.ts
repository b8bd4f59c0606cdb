/**
 * RFC 3339 times. The form alone is not enough: `2026-01-01T00:00:00+01` is valid in ISO 8601, and
 * `Date.parse` returns no number for it.
 */
import * as v from "valibot";

const MESSAGE = "must be an RFC 3339 time";

/**
 * Milliseconds; `NaN` for a text of another form. The engine's own reading takes much that is no
 * time (`x 1`), and reads what has no zone as of this machine's.
 */
export function parseInstant(text: string): number {
  return v.ISO_TIMESTAMP_REGEX.test(text) ? Date.parse(text) : Number.NaN;
}

export function isInstant(text: string): boolean {
  return !Number.isNaN(parseInstant(text));
}

/** RFC 3339 text that `Date.parse` reads. */
export const InstantText = v.pipe(v.string(), v.check(isInstant, MESSAGE));
