/**
 * Formats ages in their largest unit: `12s ago`, `3m ago`, `2h ago`, `4d ago`. Pure.
 */
import { parseInstant } from "../schema/instant.ts";

/** `12s`, `3m`, `2h`, `4d`. A negative span (clock skew) reads `0s`. */
export function formatSpan(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** The age of an RFC 3339 time; `Never` for none. */
export function formatAge(at: string | null | undefined, nowMs: number): string {
  if (at === null || at === undefined) return "Never";
  const ms = parseInstant(at);
  return Number.isNaN(ms) ? "Unknown" : `${formatSpan(nowMs - ms)} ago`;
}

/** `2026-01-02T03:04:05Z`, without the fraction. */
export function formatTime(at: string | null | undefined): string {
  return at === null || at === undefined ? "" : at.replace(/\.\d{1,9}Z$/, "Z");
}
