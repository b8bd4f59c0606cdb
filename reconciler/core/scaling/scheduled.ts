/**
 * Windows of the week, each with its own floor and ceiling. Pure. Time is compared as a wall clock
 * in the named zone shows it: a boundary inside the hour that spring skips takes effect right after
 * it, and the hour that autumn repeats counts both times. The first window that matches decides,
 * and stays inside the pool's own bounds, which nothing may leave.
 */
import type { Autoscaler } from "../../../schema/config.ts";
import { clamp, enforce, hold, size, type Ask, type Recommendation } from "./snapshot.ts";
import type { Snapshot } from "./snapshot.ts";

type Scheduled = Extract<Autoscaler, { type: "scheduled" }>;
type Window = Scheduled["schedule"][number];

export function recommendScheduled(
  autoscaler: Scheduled,
  snapshot: Snapshot,
  ask: Ask<Autoscaler>,
): Recommendation {
  const window = windowAt(autoscaler, snapshot.now);
  const { fallback } = autoscaler;
  if (window === null) {
    if (fallback !== null) return ask(fallback, snapshot);
    return hold("no window of the schedule is open", "quiet");
  }
  const inside = (nodes: number): number => Math.min(Math.max(nodes, snapshot.min), snapshot.max);
  const narrowed = { ...snapshot, min: inside(window.minNodes), max: inside(window.maxNodes) };
  const name = `scheduled window ${formatWindow(window)} in ${autoscaler.timezone}`;
  const forced = enforce(narrowed);
  if (forced !== null) return { ...forced, because: `${name}: ${forced.because}` };
  if (fallback === null) return size(snapshot.desired, `${name} holds it`);
  const answer = clamp(ask(fallback, narrowed), narrowed);
  return { ...answer, because: `${name}: ${answer.because}` };
}

/** The first window that is open at `now` (wall milliseconds), or `null`. */
export function windowAt(autoscaler: Scheduled, now: number): Window | null {
  const { day, minute } = localTime(autoscaler.timezone, now);
  return autoscaler.schedule.find((window) => isOpen(window, day, minute)) ?? null;
}

/** The day that a window names is the one on which it starts. */
function isOpen(window: Window, day: number, minute: number): boolean {
  const { days, startMinute, endMinute } = window;
  if (startMinute < endMinute) {
    return days.includes(day) && minute >= startMinute && minute < endMinute;
  }
  const eve = (day + 6) % 7;
  if (days.includes(day) && minute >= startMinute) return true;
  return days.includes(eve) && minute < endMinute;
}

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/** Day of the week (0 = Sunday) and minutes after midnight, as a clock in `zone` shows them. */
function localTime(zone: string, now: number): { day: number; minute: number } {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
  const parts = new Map(format.formatToParts(now).map((part) => [part.type, part.value]));
  const minute = Number(parts.get("hour")) * 60 + Number(parts.get("minute"));
  return { day: DAYS.indexOf(parts.get("weekday") ?? ""), minute };
}

function formatWindow({ startMinute, endMinute }: Window): string {
  return `${formatMinute(startMinute)}–${formatMinute(endMinute)}`;
}

function formatMinute(minute: number): string {
  const two = (n: number): string => String(n).padStart(2, "0");
  return `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
}
