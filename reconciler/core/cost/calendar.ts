/** UTC days and months as instants in wall milliseconds, and costs split by day. Pure. */
import { parseInstant } from "../../../schema/instant.ts";

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

/** Half open: `to` is the first instant after it. */
export type Span = { from: number; to: number };

export function dayOf(at: number): Span {
  const from = Math.floor(at / DAY_MS) * DAY_MS;
  return { from, to: from + DAY_MS };
}

/** `2026-11` of an instant. */
export function monthOf(at: number): string {
  return new Date(at).toISOString().slice(0, 7);
}

export function spanOfMonth(month: string): Span {
  const from = parseInstant(`${month}-01T00:00:00Z`);
  const first = new Date(from);
  return { from, to: Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + 1, 1) };
}

/** The part of a span inside another; empty spans begin where they end. */
export function clip(span: Span, within: Span): Span {
  const from = Math.max(span.from, within.from);
  return { from, to: Math.max(from, Math.min(span.to, within.to)) };
}

/** The days that a span touches, with the part of it in each. */
export function* daysOf(span: Span): Generator<Span> {
  for (let at = span.from; at < span.to; at = dayOf(at).to) yield clip(span, dayOf(at));
}
