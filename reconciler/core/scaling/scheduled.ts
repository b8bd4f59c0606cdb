/**
 * The open window of a weekly schedule. Pure. Time is compared as a wall clock in the named zone
 * shows it: a boundary inside the hour that spring skips takes effect right after it, and the hour
 * that autumn repeats counts both times.
 */
import type { Autoscaler } from "../../../schema/config.ts";

type Scheduled = Extract<Autoscaler, { type: "scheduled" }>;
type Window = Scheduled["schedule"][number];

/** The first window that is open at `now` (wall milliseconds), or `null`. */
export function windowAt(autoscaler: Scheduled, now: number): Window | null {
  const { day, minute } = localTime(autoscaler.timezone, now);
  return autoscaler.schedule.find((window) => isOpen(window, day, minute)) ?? null;
}

/** A window belongs to the day on which it starts. */
function isOpen({ days, startMinute, endMinute }: Window, day: number, minute: number): boolean {
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

/** `22:00–06:00` */
export function formatWindow({ startMinute, endMinute }: Window): string {
  const two = (n: number): string => String(n).padStart(2, "0");
  const clock = (minute: number): string => `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
  return `${clock(startMinute)}–${clock(endMinute)}`;
}
