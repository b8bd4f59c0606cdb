/** Durations as people write them: `30s`, `1m30s`, `1.5h`. Pure. */
import { cutText } from "./cut-text.ts";
import { MILLIS_MAX } from "./millis.ts";

/** Milliseconds of one unit. */
const UNIT: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};
const PART = /(\d+(?:\.\d+)?|\.\d+)(ns|us|µs|ms|s|m|h)/y;

export type DurationAnswer =
  | { ok: true; ms: number }
  | { ok: false; message: string; hint: string | null };

const bad = (message: string, hint: string | null = null): DurationAnswer => {
  return { ok: false, message, hint };
};

/** The error names what to write instead where it can. */
export function parseDuration(text: string | number): DurationAnswer {
  if (typeof text === "number") {
    if (text === 0) return { ok: true, ms: 0 };
    return bad(`${text} has no unit`, `write ${text}s`);
  }
  const given = text.trim();
  if (given === "0") return { ok: true, ms: 0 };
  const shown = cutText(given);
  if (/^-/.test(given)) return bad(`${shown} is negative`);
  if (/^\d+(\.\d+)?$/.test(given)) return bad(`${shown} has no unit`, `write ${shown}s`);
  const long = /^(\d+(?:\.\d+)?)([dw])$/.exec(given);
  if (long) {
    const hours = Number(long[1]) * (long[2] === "d" ? 24 : 168);
    return bad(`${shown} uses the unit ${long[2]}, which varies`, `write ${hours}h`);
  }
  const body = given.replace(/^\+/, "");
  let ms = 0;
  let at = 0;
  while (at < body.length) {
    PART.lastIndex = at;
    const part = PART.exec(body);
    if (!part) return bad(`"${shown}" is not a duration`, "write for example 30s, 5m or 1h30m");
    ms += Number(part[1]) * (UNIT[part[2] ?? ""] ?? 0);
    at = PART.lastIndex;
  }
  if (body === "") return bad("empty duration", "write for example 30s");
  if (!(ms <= MILLIS_MAX)) return bad(`${shown} is too long`);
  // Whole milliseconds, as instants are.
  return { ok: true, ms: Math.round(ms) };
}

/** The shortest exact spelling: 90000 → `1m30s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0s";
  if (ms < 1_000) return `${ms}ms`;
  const parts: string[] = [];
  const h = Math.floor(ms / 3_600_000);
  const m = Math.floor((ms % 3_600_000) / 60_000);
  const s = (ms % 60_000) / 1_000;
  if (h) parts.push(`${h}h`);
  if (m) parts.push(`${m}m`);
  if (s) parts.push(`${Number(s.toFixed(3))}s`);
  return parts.join("");
}
