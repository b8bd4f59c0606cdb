/**
 * Bounds as people write them: `5`, `==5`, `>=5`, `<0.2`, `3..9`, and the same with durations.
 * Pure.
 */
import { parseDuration } from "../../schema/duration.ts";
import type { Bound } from "./scenario.ts";

/** What a bare number means: at least it, at most it, or it alone. */
export type Bare = "min" | "max" | "exact";
export type BoundAnswer = { ok: true; bound: Bound } | { ok: false; message: string; hint: string };

/** The sign that a report shows for a bare number. */
const SIGN: Readonly<Record<Bare, string>> = { min: ">=", max: "<=", exact: "==" };

const FORM = /^(==|=|>=|<=|>|<)?\s*(\S+)$/;

/** Reads a bound; with `isDuration`, figures are durations, converted to milliseconds. */
export function parseBound(text: string, bare: Bare, isDuration: boolean): BoundAnswer {
  const read = isDuration ? readMs : readFigure;
  const example = isDuration ? "20s, <=20s or 5s..20s" : "5, ==5, >=5, <=5 or 3..9";
  const bad = (message: string): BoundAnswer => ({ ok: false, message, hint: `write ${example}` });
  const given = text.trim();
  const open = { minOpen: false, maxOpen: false, text: given };
  const range = given.split("..");
  if (range.length === 2) {
    const [min, max] = [read(range[0] ?? ""), read(range[1] ?? "")];
    if (min === null || max === null) return bad(`"${given.slice(0, 40)}" is not a bound`);
    if (min > max) return bad(`${given} is empty: its first figure is the larger one`);
    return { ok: true, bound: { min, max, ...open } };
  }
  const match = FORM.exec(given);
  const figure = match === null ? null : read(match[2] ?? "");
  if (match === null || figure === null) return bad(`"${given.slice(0, 40)}" is not a bound`);
  const full = match[1] === undefined ? `${SIGN[bare]}${given}` : given;
  return { ok: true, bound: { ...ends(match[1] ?? null, figure, bare), text: full } };
}

function ends(sign: string | null, figure: number, bare: Bare): Omit<Bound, "text"> {
  const shut = { min: null, max: null, minOpen: false, maxOpen: false };
  if (sign === ">=" || (sign === null && bare === "min")) return { ...shut, min: figure };
  if (sign === "<=" || (sign === null && bare === "max")) return { ...shut, max: figure };
  if (sign === ">") return { ...shut, min: figure, minOpen: true };
  if (sign === "<") return { ...shut, max: figure, maxOpen: true };
  return { ...shut, min: figure, max: figure };
}

function readFigure(text: string): number | null {
  const given = text.trim();
  const isFigure = /^[+-]?(\d+(\.\d+)?|\.\d+)(e[+-]?\d{1,3})?$/i.test(given);
  return isFigure && Number.isFinite(Number(given)) ? Number(given) : null;
}

function readMs(text: string): number | null {
  const answer = parseDuration(text);
  return answer.ok ? answer.ms : null;
}
