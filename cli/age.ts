/**
 * How long ago something was, in the one unit that says most: `12s ago`, `3m ago`, `2h ago`, `4d
 * ago`. Pure.
 */

/** `12s`, `3m`, `2h`, `4d`. A time ahead of `nowMs` is a clock that is off, and reads `0s`. */
export function formatSpan(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** The age of an RFC 3339 time; `Never` for none, which upstream prints as 292 years. */
export function formatAge(at: string | null | undefined, nowMs: number): string {
  if (at === null || at === undefined) return "Never";
  const ms = Date.parse(at);
  return Number.isNaN(ms) ? "Unknown" : `${formatSpan(nowMs - ms)} ago`;
}

/** `2026-01-02T03:04:05Z`: what a row of a table has room for. */
export function formatTime(at: string | null | undefined): string {
  return at === null || at === undefined ? "" : at.replace(/\.\d+(?=Z$)/, "");
}
