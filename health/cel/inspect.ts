/** Checks a parsed condition without running it: fields, metrics, nesting, patterns. Pure. */
import type { ASTNode } from "@marcbachmann/cel-js";
import { nearest } from "../../schema/nearest.ts";
import { FIELDS, mismatchesOf } from "./kind.ts";
import { compilePattern } from "./pattern.ts";

/** Macros that run their body once per element, or grow a value. */
const REPEATING = new Set(["exists", "all", "exists_one", "filter", "map", "bind"]);
/** Two levels over at most 1,000 elements take below 0.1 s. */
const NESTING_MAX = 2;

export type Fault = { message: string; position: number };

export type Inspection = {
  /** In the order of the text. */
  faults: Fault[];
  /**
   * Metrics read without a `has()` or `in` anywhere in the condition: an absent one is an error.
   */
  unguarded: string[];
  /** Every method call, for the renaming of `matches`. */
  calls: { name: string; receiverEnd: number }[];
};

type Walk = Omit<Inspection, "unguarded"> & Record<"read" | "guarded" | "bound", Set<string>>;

function isNode(value: unknown): value is ASTNode {
  return typeof value === "object" && value !== null && "op" in value && "args" in value;
}

function childrenOf(node: ASTNode): ASTNode[] {
  const found: ASTNode[] = [];
  const collect = (value: unknown): void => {
    if (isNode(value)) found.push(value);
    else if (Array.isArray(value)) for (const part of value) collect(part);
  };
  collect(node.args);
  return found;
}

/** `event.metrics.KEY` or `event.metrics["KEY"]` → KEY. */
function metricOf(node: ASTNode): string | null {
  if (node.op !== "." && node.op !== "[]") return null;
  const [of, key] = node.args;
  if (of.op !== "." || of.args[1] !== "metrics") return null;
  if (of.args[0].op !== "id" || of.args[0].args !== "event") return null;
  if (typeof key === "string") return key;
  return key.op === "value" && typeof key.args === "string" ? key.args : null;
}

function noteField(node: ASTNode, walk: Walk): void {
  if (node.op !== "." || node.args[0].op !== "id") return;
  const variable = node.args[0].args;
  const fields = FIELDS.get(variable);
  const field = node.args[1];
  if (!fields || walk.bound.has(variable) || fields.has(field)) return;
  const names = [...fields.keys()];
  const near = nearest(field, names);
  const hint = near ? `did you mean ${variable}.${near}?` : `it has ${names.join(", ")}`;
  const message = `${variable} has no field ${field}; ${hint}`;
  walk.faults.push({ message, position: node.pos });
}

function noteCall(node: ASTNode, walk: Walk, depth: number): number {
  if (node.op === "call" && node.args[0] === "has") {
    const metric = node.args[1][0] ? metricOf(node.args[1][0]) : null;
    if (metric !== null) walk.guarded.add(metric);
  }
  if (node.op === "in") {
    const [key, map] = node.args;
    const isMetrics = map.op === "." && map.args[1] === "metrics";
    if (isMetrics && key.op === "value" && typeof key.args === "string") walk.guarded.add(key.args);
  }
  if (node.op !== "rcall") return depth;
  const [name, receiver, args] = node.args;
  walk.calls.push({ name, receiverEnd: receiver.end });
  if (name === "matches") {
    const pattern = args[0];
    if (pattern?.op === "value" && typeof pattern.args === "string") {
      const found = compilePattern(pattern.args);
      if (typeof found === "string") {
        walk.faults.push({ message: `invalid pattern: ${found}`, position: pattern.pos });
      }
    }
  }
  if (!REPEATING.has(name)) return depth;
  if (args[0]?.op === "id") walk.bound.add(args[0].args);
  if (depth + 1 > NESTING_MAX) {
    const message = `${name} is nested more than ${NESTING_MAX} deep`;
    walk.faults.push({ message, position: node.pos });
  }
  return depth + 1;
}

function visit(node: ASTNode, walk: Walk, depth: number): void {
  const inner = noteCall(node, walk, depth);
  noteField(node, walk);
  walk.faults.push(...mismatchesOf(node));
  const metric = metricOf(node);
  if (metric !== null) walk.read.add(metric);
  for (const child of childrenOf(node)) visit(child, walk, inner);
}

export function inspect(root: ASTNode): Inspection {
  const sets = { read: new Set<string>(), guarded: new Set<string>(), bound: new Set<string>() };
  const walk: Walk = { faults: [], calls: [], ...sets };
  visit(root, walk, 0);
  return {
    faults: walk.faults.toSorted((a, b) => a.position - b.position),
    unguarded: [...walk.read].filter((key) => !walk.guarded.has(key)),
    calls: walk.calls,
  };
}

/** True if the condition is the literal `true`. */
export function isAlwaysTrue(root: ASTNode): boolean {
  return root.op === "value" && root.args === true;
}
