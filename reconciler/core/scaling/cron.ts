/**
 * Cron expressions of five fields in an IANA zone. Pure. An instant in the hour that spring skips
 * takes effect right after it, and one in the hour that autumn repeats the first time. If the day
 * of the month and the weekday are both limited, either suffices, as in Vixie's cron.
 */
import { Cron } from "croner";

/** Five fields; the library's own marks for nicknames, seconds and "and" are refused. */
const FIELDS = /^[\dA-Za-z*/,#?-]+(\s+[\dA-Za-z*/,#?-]+){4}$/;

/** Why the expression cannot be used, or `null`. */
export function cronProblem(expression: string): string | null {
  if (!FIELDS.test(expression)) return "expected five fields: minute hour day month weekday";
  try {
    // From a leap year on, so that 29 February is found.
    const never = cronOf(expression, "UTC").nextRun(new Date(Date.UTC(2023, 0, 1))) === null;
    return never ? "no date matches it" : null;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return message.replace(/^CronPattern: /, "");
  }
}

/** The first instant after `after` (wall milliseconds), or `null`. */
export function nextOf(expression: string, zone: string, after: number): number | null {
  return cronOf(expression, zone).nextRun(new Date(after))?.getTime() ?? null;
}

function cronOf(expression: string, zone: string): Cron {
  return new Cron(expression, { timezone: zone, paused: true, mode: "5-part" });
}
