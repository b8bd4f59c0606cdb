/**
 * A time as it travels. The form alone is not enough: `2026-01-01T00:00:00+01` has the form that
 * ISO 8601 allows and RFC 3339 does not, and reads as no number. One such text, taken in and made
 * durable, would stop whoever calculates with it.
 */
import * as v from "valibot";

const MESSAGE = "must be an RFC 3339 time";

/** Whether the text names a moment that can be calculated with. */
export function isInstant(text: string): boolean {
  return v.ISO_TIMESTAMP_REGEX.test(text) && !Number.isNaN(Date.parse(text));
}

/** RFC 3339 text that `Date.parse` reads. */
export const InstantText = v.pipe(v.string(), v.check(isInstant, MESSAGE));
