/**
 * RFC 3339 times. The form alone is not enough: `2026-01-01T00:00:00+01` is valid in ISO 8601, and
 * `Date.parse` returns no number for it.
 */
import * as v from "valibot";

const MESSAGE = "must be an RFC 3339 time";

export function isInstant(text: string): boolean {
  return v.ISO_TIMESTAMP_REGEX.test(text) && !Number.isNaN(Date.parse(text));
}

/** RFC 3339 text that `Date.parse` reads. */
export const InstantText = v.pipe(v.string(), v.check(isInstant, MESSAGE));
