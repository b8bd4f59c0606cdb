/**
 * Integer arithmetic of `podCount`: `+ - * /` and brackets, from left to right with the usual
 * precedence; a division drops its rest. One pass over the text, with limits. Pure.
 */
import { TaskError } from "./task.ts";

const CHARS_MAX = 200;
const DEPTH_MAX = 32;
/** More pods than any cluster holds (Kubernetes supports 150,000). */
export const COUNT_MAX = 10_000_000;

type Cursor = { words: readonly string[]; at: number; depth: number };

/** Throws `TaskError` without the expression's name. */
export function evaluateCount(text: string): number {
  if (text.length > CHARS_MAX) throw new TaskError(`longer than ${CHARS_MAX} characters`);
  const words = text.match(/\d+|[-+*/()]|[^\s]/g) ?? [];
  const cursor = { words, at: 0, depth: 0 };
  const value = sum(cursor);
  const rest = words[cursor.at];
  if (rest !== undefined) throw new TaskError(`unexpected "${rest}"`);
  if (value < 0) throw new TaskError(`${value} is negative`);
  // Not -0.
  return value + 0;
}

function sum(cursor: Cursor): number {
  let value = product(cursor);
  for (;;) {
    const sign = cursor.words[cursor.at];
    if (sign !== "+" && sign !== "-") return value;
    cursor.at += 1;
    const next = product(cursor);
    value = bounded(sign === "+" ? value + next : value - next);
  }
}

function product(cursor: Cursor): number {
  let value = factor(cursor);
  for (;;) {
    const sign = cursor.words[cursor.at];
    if (sign !== "*" && sign !== "/") return value;
    cursor.at += 1;
    const next = factor(cursor);
    if (sign === "/" && next === 0) throw new TaskError("division by zero");
    value = bounded(sign === "*" ? value * next : Math.trunc(value / next));
  }
}

function factor(cursor: Cursor): number {
  const word = cursor.words[cursor.at];
  cursor.at += 1;
  if (word === undefined) throw new TaskError("a number is missing");
  if (/^\d+$/.test(word)) return bounded(Number(word));
  cursor.depth += 1;
  if (cursor.depth > DEPTH_MAX) throw new TaskError("nested too deeply");
  if (word === "-" || word === "+") {
    const value = factor(cursor);
    cursor.depth -= 1;
    return word === "-" ? -value : value;
  }
  if (word !== "(") throw new TaskError(`unexpected "${word}"`);
  const value = sum(cursor);
  if (cursor.words[cursor.at] !== ")") throw new TaskError("a bracket is not closed");
  cursor.at += 1;
  cursor.depth -= 1;
  return value;
}

function bounded(value: number): number {
  if (Math.abs(value) <= COUNT_MAX) return value;
  throw new TaskError(`more than ${COUNT_MAX} pods`);
}
