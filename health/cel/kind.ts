/**
 * Types known without data: literals, and fields of `event` and `node`. The library takes every
 * field for dynamic, so that a comparison of text with a number compiles and is never true: such a
 * rule would report broken hardware as healthy. Pure.
 */
import type { ASTNode } from "@marcbachmann/cel-js";

export type Kind = "text" | "number" | "boolean";

/** Fields of both variables with their kinds. Maps, because a condition may name anything. */
export const FIELDS: ReadonlyMap<string, ReadonlyMap<string, Kind | "map">> = new Map([
  [
    "event",
    new Map<string, Kind | "map">([
      ["event_type", "text"],
      ["system", "text"],
      ["gpu_index", "number"],
      ["gpu_uuid", "text"],
      ["metrics", "map"],
      ["message", "text"],
      ["timestamp", "text"],
    ]),
  ],
  [
    "node",
    new Map<string, Kind | "map">([
      ["id", "text"],
      ["pool", "text"],
      ["labels", "map"],
      ["gpu_count", "number"],
      ["driver_version", "text"],
      ["fake", "boolean"],
    ]),
  ],
]);

/** Metrics that are numbers wherever they come from. */
const NUMBERS = /^(s?xid_code|temperature|\w+_(count|watts|limit|temperature)|subcode|pid)$/;

export type Known = { kind: Kind; shown: string; literal: boolean };

export function kindOf(node: ASTNode): Known | null {
  if (node.op === "value") return kindOfLiteral(node.args);
  if (node.op !== "." && node.op !== "[]") return null;
  const [of, key] = node.args;
  const name = typeof key === "string" ? key : key.op === "value" ? String(key.args) : null;
  if (name === null) return null;
  if (of.op === "id") {
    const kind = FIELDS.get(of.args)?.get(name) ?? "map";
    return kind === "map" ? null : { kind, shown: `${of.args}.${name}`, literal: false };
  }
  const isMetric =
    of.op === "." && of.args[1] === "metrics" && of.args[0].op === "id" && NUMBERS.test(name);
  return isMetric ? { kind: "number", shown: `event.metrics.${name}`, literal: false } : null;
}

function kindOfLiteral(value: unknown): Known | null {
  const shown = typeof value === "string" ? JSON.stringify(value) : String(value);
  if (typeof value === "string") return { kind: "text", shown, literal: true };
  if (typeof value === "bigint" || typeof value === "number") {
    return { kind: "number", shown, literal: true };
  }
  return typeof value === "boolean" ? { kind: "boolean", shown, literal: true } : null;
}

const COMPARISONS: readonly string[] = ["==", "!=", "<", "<=", ">", ">="];

/** Comparisons, also with members of a list, that can never be true. */
export function mismatchesOf(node: ASTNode): { message: string; position: number }[] {
  const isIn = node.op === "in";
  if (!isIn && !COMPARISONS.includes(node.op)) return [];
  const [left, right] = node.args as [ASTNode, ASTNode];
  const against = isIn ? (right.op === "list" ? (right.args as ASTNode[]) : []) : [right];
  return against.flatMap((other) => {
    const [one, two] = [kindOf(left), kindOf(other)];
    if (one === null || two === null || one.kind === two.kind) return [];
    // The library judges two literals.
    if (one.literal && two.literal) return [];
    const [field, value] = one.literal ? [two, one] : [one, two];
    const is = `${field.shown} is ${wordOf(field.kind)}`;
    const message = `${is} and is compared with ${sayKnown(value)}`;
    const position = one.literal ? startOf(left) : startOf(other);
    return [{ message: `${message}, which is never equal${repairOf(field, value)}`, position }];
  });
}

function startOf(node: ASTNode): number {
  const start: unknown = Reflect.get(node, "start");
  return typeof start === "number" ? start : node.pos;
}

function wordOf(kind: Kind): string {
  return kind === "text" ? "text" : kind === "number" ? "a number" : "true or false";
}

function sayKnown({ kind, shown, literal }: Known): string {
  return literal ? `${kind === "boolean" ? "" : `the ${kind} `}${shown}` : shown;
}

function repairOf(field: Known, value: Known): string {
  if (!value.literal) return "";
  if (field.kind === "text") return `: write "${value.shown}"`;
  const bare = value.shown.replaceAll('"', "");
  const isNumber = /^[+-]?\d+(\.\d+)?$/.test(bare);
  return field.kind === "number" && isNumber ? `: write ${bare} without quotes` : "";
}
