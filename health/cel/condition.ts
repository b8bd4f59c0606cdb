/**
 * Compiles a condition of a policy, finding every mistake that can be found without data, and
 * evaluates it on events. Evaluation never throws and has a bounded cost.
 */
import type { ParseResult } from "@marcbachmann/cel-js";
import { LIMIT } from "../../schema/limit.ts";
import type { PolicyEvent, PolicyNode } from "../../schema/policy.ts";
import { environment, LINEAR_MATCHES } from "./environment.ts";
import { explainSyntax, explainType } from "./explain.ts";
import { inspect, isAlwaysTrue } from "./inspect.ts";
import { kindOf } from "./kind.ts";

export type Condition = {
  readonly text: string;
  /** True if it is the word `true`: later rules are never reached. */
  readonly alwaysTrue: boolean;
  /** Metrics read without `has()`; the condition fails on an event without them. */
  readonly unguarded: readonly string[];
  readonly run: (activation: Activation) => unknown;
};

/** The first mistake, and `more` in the order of the text. */
export type CompileAnswer =
  | { ok: true; condition: Condition }
  | (Mistake & { ok: false; more: Mistake[] });

export type EvaluateAnswer = { ok: true; value: boolean } | { ok: false; message: string };

/** An event and a node in CEL's types, converted once for many rules. */
export type Activation = { readonly event: object; readonly node: object };

/** Line and column of an offset; both count from 1. */
function placeOf(text: string, offset: number): { line: number; col: number } {
  const before = text.slice(0, offset).split("\n");
  return { line: before.length, col: (before.at(-1) ?? "").length + 1 };
}

/** One mistake; `at` counts from 1. */
export type Mistake = { message: string; at: { line: number; col: number } | null };

function refusal(mistakes: readonly Mistake[]): CompileAnswer {
  const [first = { message: "cannot be compiled", at: null }, ...more] = mistakes;
  return { ok: false, ...first, more };
}

/** The library's short text, and the offset that it points at. */
function readError(error: unknown): { summary: string; start: number | null } {
  const message = error instanceof Error ? error.message : String(error);
  const summary = detail(error, "summary") ?? message.split("\n")[0] ?? message;
  const range = detail(error, "range");
  const start = typeof range === "object" && range !== null ? detail(range, "start") : undefined;
  return {
    summary: String(summary).replaceAll(LINEAR_MATCHES, "matches"),
    start: typeof start === "number" ? start : null,
  };
}

function detail(of: unknown, name: string): unknown {
  return typeof of === "object" && of !== null ? Reflect.get(of, name) : undefined;
}

/** Renames the method after each receiver, behind white space, closing brackets and comments. */
function renameMatches(text: string, receiverEnds: readonly number[]): string {
  let renamed = text;
  const between = /(?:[\s).]|\/\/[^\n]*(?:\n|$))*/y;
  for (const end of receiverEnds) {
    between.lastIndex = end;
    between.exec(text);
    const at = between.lastIndex;
    if (!text.startsWith("matches", at)) throw new Error(`no method name at ${at} of: ${text}`);
    renamed = renamed.slice(0, at) + LINEAR_MATCHES + renamed.slice(at + LINEAR_MATCHES.length);
  }
  return renamed;
}

/**
 * Compiles and type-checks. Refused: text over 8 KiB, syntax errors, a type other than bool (a
 * dynamic value is checked at run time), an unknown function, variable or field, a bad pattern, too
 * much nesting.
 */
export function compileCondition(text: string): CompileAnswer {
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > LIMIT.conditionBytesMax) {
    const message = `condition is ${bytes} bytes, at most ${LIMIT.conditionBytesMax} are allowed`;
    return refusal([{ message, at: null }]);
  }
  const { mistakes, parsed: first, ...read } = parseOn(text);
  if (first === null) return refusal(mistakes);
  const at = (offset: number) => placeOf(text, read.origin(offset));
  const found = inspect(first.ast);
  for (const { message, position } of found.faults) mistakes.push({ message, at: at(position) });
  try {
    const ends = found.calls.filter((c) => c.name === "matches").map((c) => c.receiverEnd);
    const renamed = ends.length === 0 ? null : renameMatches(read.text, ends);
    const parsed = renamed === null ? first : environment.parse(renamed);
    const checked = parsed.check();
    // The faults found here are clearer than the type check, which stops at the first one.
    if (!checked.valid && found.faults.length === 0) {
      const { summary, start } = readError(checked.error);
      mistakes.push({ message: explainType(summary), at: start === null ? null : at(start) });
    } else if (checked.valid && checked.type !== "bool") {
      const what = checked.type === "dyn" ? (kindOf(first.ast)?.kind ?? null) : checked.type;
      // A dynamic value is checked when it is evaluated.
      if (what !== null && what !== "boolean") {
        const message = `condition gives ${what ?? "nothing"}, expected bool`;
        mistakes.push({ message, at: { line: 1, col: 1 } });
      }
    }
    if (mistakes.length > 0) return refusal(mistakes);
    const alwaysTrue = isAlwaysTrue(first.ast);
    const run: Condition["run"] = (activation) => parsed(activation);
    return { ok: true, condition: { text, alwaysTrue, unguarded: found.unguarded, run } };
  } catch (error) {
    const { summary, start } = readError(error);
    return refusal([...mistakes, { message: summary, at: start === null ? null : at(start) }]);
  }
}

const REPAIRS_MAX = 10;

/**
 * Parses, and continues after each mistake that has one certain repair, so that one run lists them
 * all. `origin` maps an offset of the repaired `text` to the original.
 */
function parseOn(given: string): {
  text: string;
  parsed: ParseResult | null;
  mistakes: Mistake[];
  origin(offset: number): number;
} {
  const mistakes: Mistake[] = [];
  const shifts: { from: number; by: number }[] = [];
  const origin = (offset: number): number =>
    shifts.reduceRight((at, { from, by }) => (at >= from ? Math.max(from, at - by) : at), offset);
  let text = given;
  for (;;) {
    try {
      return { text, parsed: environment.parse(text), mistakes, origin };
    } catch (error) {
      const { summary, start } = readError(error);
      if (start === null) mistakes.push({ message: summary, at: null });
      const { message, fix } =
        start === null ? { message: summary, fix: null } : explainSyntax(text, start, summary);
      const where = fix?.start ?? start;
      if (where !== null) mistakes.push({ message, at: placeOf(given, origin(where)) });
      if (fix === null || mistakes.length >= REPAIRS_MAX) {
        return { text, parsed: null, mistakes, origin };
      }
      text = text.slice(0, fix.start) + fix.text + text.slice(fix.end);
      shifts.push({ from: fix.start, by: fix.text.length - (fix.end - fix.start) });
    }
  }
}

/** A whole number is CEL's int, any other its double: `85` and `85.0` are one JSON number. */
function celNumber(value: number): number | bigint {
  return Number.isSafeInteger(value) ? BigInt(value) : value;
}

/** Converts one event and node, for every rule of a policy. */
export function activate(event: PolicyEvent, node: PolicyNode): Activation {
  const metrics = Object.fromEntries(
    Object.entries(event.metrics).map(([key, value]) => {
      return [key, typeof value === "number" ? celNumber(value) : value];
    }),
  );
  return {
    event: { ...event, gpu_index: celNumber(event.gpu_index), metrics },
    node: { ...node, gpu_count: celNumber(node.gpu_count) },
  };
}

/** After a failure the rule counts as not matched. */
export function evaluateIn(condition: Condition, activation: Activation): EvaluateAnswer {
  try {
    const value = condition.run(activation);
    if (typeof value === "boolean") return { ok: true, value };
    return { ok: false, message: `condition gave ${typeof value}, expected bool` };
  } catch (error) {
    const summary = detail(error, "summary");
    const message = error instanceof Error ? error.message : String(error);
    return { ok: false, message: typeof summary === "string" ? summary : message };
  }
}
