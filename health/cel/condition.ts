/**
 * One condition of a policy: compiled once, with every mistake found that can be found without
 * data, then evaluated against events. Evaluation never throws, has no I/O and a bounded cost.
 */
import type { ParseResult } from "@marcbachmann/cel-js";
import { LIMIT } from "../../schema/limit.ts";
import type { PolicyEvent, PolicyNode } from "../../schema/policy.ts";
import { environment, LINEAR_MATCHES } from "./environment.ts";
import { inspect, isAlwaysTrue } from "./inspect.ts";

export type Condition = {
  readonly text: string;
  /** True if it is the word `true`: rules after it can never be reached. */
  readonly alwaysTrue: boolean;
  /** Metrics compared without a guard; an event that lacks one makes the condition fail. */
  readonly unguarded: readonly string[];
  readonly run: (activation: Activation) => unknown;
};

/** `at` counts from 1. */
export type CompileAnswer =
  | { ok: true; condition: Condition }
  | { ok: false; message: string; at: { line: number; col: number } | null };

export type EvaluateAnswer = { ok: true; value: boolean } | { ok: false; message: string };

/**
 * An event and a node in CEL's types, so that many rules can look at one event without converting
 * it again.
 */
export type Activation = { readonly event: object; readonly node: object };

/** Line and column of an offset; both count from 1. */
function placeOf(text: string, offset: number): { line: number; col: number } {
  const before = text.slice(0, offset).split("\n");
  return { line: before.length, col: (before.at(-1) ?? "").length + 1 };
}

function refusal(text: string, error: unknown): CompileAnswer {
  const message = error instanceof Error ? error.message : String(error);
  const summary = detail(error, "summary") ?? message.split("\n")[0] ?? message;
  const range = detail(error, "range");
  const start = typeof range === "object" && range !== null ? detail(range, "start") : undefined;
  return {
    ok: false,
    message: String(summary).replaceAll(LINEAR_MATCHES, "matches"),
    at: typeof start === "number" ? placeOf(text, start) : null,
  };
}

function detail(of: unknown, name: string): unknown {
  return typeof of === "object" && of !== null ? Reflect.get(of, name) : undefined;
}

/**
 * Renames the method after a receiver, stepping over white space, closing brackets and comments.
 */
function renameMatches(text: string, receiverEnds: readonly number[]): string {
  let renamed = text;
  const between = /(?:[\s).]|\/\/[^\n]*)*/y;
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
 * Compiles and type-checks. Refused: text over 8 KiB, anything that does not parse, that is not of
 * type bool (a dynamic value is accepted and checked when it is evaluated), an unknown function,
 * variable, event or node field, a bad pattern, too much nesting.
 */
export function compileCondition(text: string): CompileAnswer {
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > LIMIT.conditionBytesMax) {
    const message = `condition is ${bytes} bytes, at most ${LIMIT.conditionBytesMax} are allowed`;
    return { ok: false, message, at: null };
  }
  try {
    const first = environment.parse(text);
    const found = inspect(first.ast);
    if (found.fault) {
      return { ok: false, message: found.fault.message, at: placeOf(text, found.fault.position) };
    }
    const ends = found.calls.filter((c) => c.name === "matches").map((c) => c.receiverEnd);
    const parsed = ends.length === 0 ? first : environment.parse(renameMatches(text, ends));
    const checked = parsed.check();
    if (!checked.valid) return refusal(text, checked.error);
    if (checked.type !== "bool" && checked.type !== "dyn") {
      const message = `condition gives ${checked.type ?? "nothing"}, expected bool`;
      return { ok: false, message, at: { line: 1, col: 1 } };
    }
    const alwaysTrue = isAlwaysTrue(first.ast);
    return { ok: true, condition: conditionOf(text, alwaysTrue, found.unguarded, parsed) };
  } catch (error) {
    return refusal(text, error);
  }
}

function conditionOf(
  text: string,
  alwaysTrue: boolean,
  unguarded: string[],
  parsed: ParseResult,
): Condition {
  return { text, alwaysTrue, unguarded, run: (activation) => parsed(activation) };
}

/** A whole number is CEL's int, any other its double: `85` and `85.0` are one JSON number. */
function celNumber(value: number): number | bigint {
  return Number.isSafeInteger(value) ? BigInt(value) : value;
}

function celMetrics(metrics: PolicyEvent["metrics"]): Record<string, unknown> {
  const typed: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(metrics)) {
    typed[key] = typeof value === "number" ? celNumber(value) : value;
  }
  return typed;
}

/** Converts one event and node; reuse the answer for every rule of a policy. */
export function activate(event: PolicyEvent, node: PolicyNode): Activation {
  return {
    event: { ...event, gpu_index: celNumber(event.gpu_index), metrics: celMetrics(event.metrics) },
    node: { ...node, gpu_count: celNumber(node.gpu_count) },
  };
}

/** Evaluates on prepared values. A failure is an answer: the rule then counts as not matched. */
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

/** Evaluates one condition on one event. */
export function evaluate(
  condition: Condition,
  event: PolicyEvent,
  node: PolicyNode,
): EvaluateAnswer {
  return evaluateIn(condition, activate(event, node));
}
