/**
 * The open window of a schedule. Pure. Hours are compared as a wall clock in the named zone shows
 * them: a boundary inside the hour that spring skips takes effect right after it, and the hour that
 * autumn repeats counts both times. A window with `cron` lasts its elapsed time.
 */
import type { Autoscaler } from "../../../schema/config.ts";
import { formatDuration } from "../../../schema/duration.ts";
import { nextOf } from "./cron.ts";

type Scheduled = Extract<Autoscaler, { type: "scheduled" }>;
type Window = Scheduled["schedule"][number];

/** The first window that is open at `now` (wall milliseconds), or `null`. */
export function windowAt(autoscaler: Scheduled, now: number): Window | null {
  const { timezone, schedule } = autoscaler;
  const weekly = schedule.some((window) => window.cron === null);
  const local = weekly ? localTime(timezone, now) : null;
  return schedule.find((window) => isOpen(window, local, timezone, now)) ?? null;
}

/** Whether one window is open at `now`. */
export function isOpenAt(window: Window, zone: string, now: number): boolean {
  return isOpen(window, window.cron === null ? localTime(zone, now) : null, zone, now);
}

function isOpen(window: Window, local: Local | null, zone: string, now: number): boolean {
  const { cron, durationMs } = window;
  if (cron === null || durationMs === null) return local !== null && isInside(window, local);
  const start = nextOf(cron, zone, now - durationMs);
  return start !== null && start <= now;
}

/** A window belongs to the day on which it starts. */
function isInside({ days, startMinute, endMinute }: Window, { day, minute }: Local): boolean {
  if (startMinute < endMinute) {
    return days.includes(day) && minute >= startMinute && minute < endMinute;
  }
  const eve = (day + 6) % 7;
  if (days.includes(day) && minute >= startMinute) return true;
  return days.includes(eve) && minute < endMinute;
}

type Local = { day: number; minute: number };
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/** Day of the week (0 = Sunday) and minutes after midnight, as a clock in `zone` shows them. */
function localTime(zone: string, now: number): Local {
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

/** `22:00–06:00`, or `0 22 * * 5 for 8h` */
export function formatWindow({ startMinute, endMinute, cron, durationMs }: Window): string {
  if (cron !== null && durationMs !== null) return `${cron} for ${formatDuration(durationMs)}`;
  const two = (n: number): string => String(n).padStart(2, "0");
  const clock = (minute: number): string => `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
  return `${clock(startMinute)}–${clock(endMinute)}`;
}
