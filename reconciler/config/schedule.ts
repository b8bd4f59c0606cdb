/** Reads the windows of a scheduled autoscaler. A window may cross midnight. */
import { type ScheduleWindow, WINDOW } from "../../schema/config/autoscaler.ts";
import { nearest } from "../../schema/nearest.ts";
import type { Section } from "./section.ts";
import { readPart } from "./table.ts";

/** By number: Sunday is 0. */
const DAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const EVERY_DAY = [0, 1, 2, 3, 4, 5, 6];
/** Windows of one schedule: one for each half hour of a week. */
const WINDOWS_MAX = 336;

export function readSchedule(section: Section, maxNodes: number | null): ScheduleWindow[] {
  const windows = section.list("schedule", "window", WINDOWS_MAX);
  return windows.map((window) => readWindow(window, maxNodes));
}

function readWindow(window: Section, poolMax: number | null): ScheduleWindow {
  const days = readDays(window);
  const startMinute = readHour(window, "start_hour", 23);
  const endMinute = readHour(window, "end_hour", 24);
  const { minNodes, maxNodes } = readPart(window, WINDOW);
  for (const key of ["start_hour", "end_hour", "min_nodes", "max_nodes"]) {
    if (window.given && !window.has(key)) window.missing(key);
  }
  if (startMinute !== null && startMinute === endMinute) {
    window.fail("end_hour", "range", "is the same as start_hour", "write 0 to 24 for a whole day");
  }
  if (minNodes !== null && maxNodes !== null && minNodes > maxNodes) {
    window.fail("min_nodes", "range", `min_nodes ${minNodes} is above max_nodes ${maxNodes}`);
  }
  if (maxNodes !== null && poolMax !== null && maxNodes > poolMax) {
    window.fail("max_nodes", "range", `${maxNodes} is above the pool's max_nodes ${poolMax}`);
  }
  window.finish();
  return {
    days,
    startMinute: startMinute ?? 0,
    endMinute: endMinute ?? 1_440,
    minNodes: minNodes ?? 0,
    maxNodes: maxNodes ?? 0,
  };
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
