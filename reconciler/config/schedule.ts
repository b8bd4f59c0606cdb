/** Reads the windows of a scheduled autoscaler: days and hours, or a cron expression. */
import { type ScheduleWindow, WINDOW } from "../../schema/config/autoscaler.ts";
import { nearest } from "../../schema/nearest.ts";
import { nextOf } from "../core/scaling/cron.ts";
import { formatWindow, isOpenAt } from "../core/scaling/scheduled.ts";
import type { Section } from "./section.ts";
import { readPart } from "./table.ts";

/** By number: Sunday is 0. */
export const DAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const EVERY_DAY = [0, 1, 2, 3, 4, 5, 6];
/** Windows of one schedule: one for each half hour of a week. */
const WINDOWS_MAX = 336;

export function readSchedule(section: Section, maxNodes: number | null): ScheduleWindow[] {
  const windows = section.list("schedule", "window", WINDOWS_MAX);
  return windows.map((window) => readWindow(window, maxNodes));
}

/** Starts of each window that are compared, and windows beyond which none is. */
const STARTS_MAX = 60;
const COMPARED_MAX = 24;
/** A Thursday; what is compared must not depend on the day of the check. */
const SINCE = Date.UTC(2026, 0, 1);

/** Windows with `cron` that are open together with an earlier one, which is the one that counts. */
export function warnOverlaps(section: Section, windows: ScheduleWindow[], zone: string): void {
  if (windows.length > COMPARED_MAX) return;
  for (const [index, window] of windows.entries()) {
    const earlier = windows.slice(0, index).find((one) => overlaps(window, one, zone));
    if (earlier === undefined) continue;
    const said = `${formatWindow(window)} overlaps ${formatWindow(earlier)}`;
    section.warn("schedule", "overlap", `${said}: while both are open the earlier one counts`);
  }
}

/** Two windows overlap if one is open when the other begins. */
function overlaps(a: ScheduleWindow, b: ScheduleWindow, zone: string): boolean {
  if (a.cron === null && b.cron === null) return false;
  const opens = (one: ScheduleWindow, other: ScheduleWindow): boolean =>
    startsOf(one, zone).some((at) => isOpenAt(other, zone, at));
  return opens(a, b) || opens(b, a);
}

function startsOf({ cron: own, days, startMinute }: ScheduleWindow, zone: string): number[] {
  const starts: number[] = [];
  const hours = `${startMinute % 60} ${Math.floor(startMinute / 60)} * * ${days.join(",")}`;
  const cron = own ?? hours;
  let at: number | null = SINCE;
  while (at !== null && starts.length < STARTS_MAX) {
    at = nextOf(cron, zone, at);
    if (at !== null) starts.push(at);
  }
  return starts;
}

function readWindow(window: Section, poolMax: number | null): ScheduleWindow {
  const isCron = window.has("cron") || window.has("duration");
  const hours = isCron ? refuseHours(window) : readHours(window);
  const { minNodes, maxNodes, cron, durationMs } = readPart(window, WINDOW);
  for (const key of [...(isCron ? ["cron", "duration"] : []), "min_nodes", "max_nodes"]) {
    if (window.given && !window.has(key)) window.missing(key);
  }
  if (minNodes !== null && maxNodes !== null && minNodes > maxNodes) {
    window.fail("min_nodes", "range", `min_nodes ${minNodes} is above max_nodes ${maxNodes}`);
  }
  if (maxNodes !== null && poolMax !== null && maxNodes > poolMax) {
    window.fail("max_nodes", "range", `${maxNodes} is above the pool's max_nodes ${poolMax}`);
  }
  window.finish();
  return {
    ...hours,
    cron,
    durationMs,
    minNodes: minNodes ?? 0,
    maxNodes: maxNodes ?? 0,
  };
}

type Hours = Pick<ScheduleWindow, "days" | "startMinute" | "endMinute">;

function readHours(window: Section): Hours {
  const days = readDays(window);
  const startMinute = readHour(window, "start_hour", 23);
  const endMinute = readHour(window, "end_hour", 24);
  for (const key of ["start_hour", "end_hour"]) {
    if (window.given && !window.has(key)) window.missing(key);
  }
  if (startMinute !== null && startMinute === endMinute) {
    window.fail("end_hour", "range", "is the same as start_hour", "write 0 to 24 for a whole day");
  }
  return { days, startMinute: startMinute ?? 0, endMinute: endMinute ?? 1_440 };
}

/** An expression says days and hours itself. */
function refuseHours(window: Section): Hours {
  for (const key of ["days", "start_hour", "end_hour"]) {
    if (window.has(key)) {
      window.fail(key, "conflict", "cron says when the window opens", `remove ${key} or cron`);
    }
  }
  return { days: [], startMinute: 0, endMinute: 0 };
}

function readDays(window: Section): number[] {
  if (!window.has("days")) return EVERY_DAY;
  const names = window.texts("days");
  if (names?.length === 0) {
    window.fail("days", "required", "needs at least one day", "omit it for all");
  }
  const found = new Set<number>();
  for (const name of names ?? []) {
    const word = name.toLowerCase();
    const day = DAYS.findIndex((full) => full === word || full.slice(0, 3) === word);
    if (day >= 0) {
      found.add(day);
      continue;
    }
    const close = nearest(word, [...DAYS, ...DAYS.map((full) => full.slice(0, 3))]);
    const hint = close === null ? "write for example mon or monday" : `did you mean "${close}"?`;
    window.fail("days", "choice", `unknown day ${JSON.stringify(name.slice(0, 40))}`, hint);
  }
  return EVERY_DAY.filter((day) => found.has(day));
}

/** Minutes after midnight, from a whole hour or `"HH:MM"`. */
function readHour(window: Section, key: string, hourMax: number): number | null {
  const entry = window.look(key);
  if (entry === null) return null;
  const value = entry.value.kind === "scalar" ? entry.value.value : null;
  if (typeof value !== "string") {
    const hour = window.integer(key, { min: 0, max: hourMax });
    return hour === null ? null : hour * 60;
  }
  const match = /^(\d{1,2}):(\d{2})$/.exec(value.trim());
  const hour = Number(match?.[1]);
  const minute = Number(match?.[2]);
  const sound = match !== null && minute < 60 && hour * 60 + minute <= hourMax * 60 + 59;
  if (sound && hour * 60 + minute <= 1_440) return hour * 60 + minute;
  return window.fail(key, "range", `not a time of day, 0 to ${hourMax}`, 'write 9 or "09:30"');
}
