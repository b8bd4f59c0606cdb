/**
 * A moment in the past as people write it: a duration before now (`30m`) or an RFC 3339 time. Pure.
 */
import { parseDuration } from "../../schema/duration.ts";

export type SinceAnswer = { ok: true; atMs: number } | { ok: false; message: string };

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;

export function parseSince(text: string, nowMs: number): SinceAnswer {
  const given = text.trim();
  if (TIME.test(given)) {
    const atMs = Date.parse(given);
    if (!Number.isNaN(atMs)) return { ok: true, atMs };
  }
  const duration = parseDuration(given);
  if (duration.ok) return { ok: true, atMs: nowMs - duration.ms };
  const hint = duration.hint ?? "write for example 30m or 2026-03-01T10:00:00Z";
  return { ok: false, message: `${duration.message}; ${hint}` };
}
