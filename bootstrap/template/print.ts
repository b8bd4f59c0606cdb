/**
 * Prints a parsed template with values. Every value that comes from outside the template is quoted
 * for a POSIX shell; the template's own text, `printf` formats included, stays as written.
 */
import { unreachable } from "../../schema/unreachable.ts";
import { quoteShell } from "./quote.ts";
import type { Call, Expression, Part, Template } from "./template.ts";

/** A variable that is absent prints as nothing and is false. */
export type TemplateValues = Readonly<Record<string, string | readonly string[] | undefined>>;

/** `raw` is what comparisons see, `shell` what is printed. */
type Value =
  | { kind: "text"; raw: string; shell: string }
  | { kind: "plain"; value: number | boolean }
  | { kind: "list"; items: readonly string[] };

type Place = { values: TemplateValues; element: string };

export function formatTemplate(template: Template, values: TemplateValues): string {
  return formatParts(template.parts, { values, element: "" });
}

function formatParts(parts: readonly Part[], place: Place): string {
  return parts.map((part) => formatPart(part, place)).join("");
}

function formatPart(part: Part, place: Place): string {
  switch (part.kind) {
    case "text":
      return part.text;
    case "print":
      return shellOf(evaluate(part.value, place));
    case "if": {
      const chosen = isTrue(evaluate(part.condition, place)) ? part.then : part.otherwise;
      return formatParts(chosen, place);
    }
    case "range": {
      const list = evaluate(part.list, place);
      if (list.kind !== "list" || list.items.length === 0) {
        return formatParts(part.otherwise, place);
      }
      return list.items.map((element) => formatParts(part.body, { ...place, element })).join("");
    }
    default:
      return unreachable(part);
  }
}

function evaluate(expression: Expression, place: Place): Value {
  switch (expression.kind) {
    case "field": {
      const name = expression.name;
      const value = Object.hasOwn(place.values, name) ? place.values[name] : undefined;
      if (value !== undefined && typeof value !== "string") return { kind: "list", items: value };
      return outside(value ?? "");
    }
    case "dot":
      return outside(place.element);
    case "literal":
      if (typeof expression.value !== "string") return { kind: "plain", value: expression.value };
      return { kind: "text", raw: expression.value, shell: expression.value };
    case "call":
      return call(expression.name, expression.args, place);
    default:
      return unreachable(expression);
  }
}

function outside(value: string): Value {
  return { kind: "text", raw: value, shell: quoteShell(value) };
}

function call(name: Call, args: readonly Expression[], place: Place): Value {
  const values = args.map((arg) => evaluate(arg, place));
  const [first, ...rest] = values;
  if (first === undefined) throw new Error(`${name} without values passed the parser`);
  switch (name) {
    case "eq":
      return { kind: "plain", value: rest.some((value) => rawOf(value) === rawOf(first)) };
    case "ne":
      return { kind: "plain", value: rest.every((value) => rawOf(value) !== rawOf(first)) };
    case "and":
      return values.find((value) => !isTrue(value)) ?? values.at(-1) ?? first;
    case "or":
      return values.find(isTrue) ?? values.at(-1) ?? first;
    case "not":
      return { kind: "plain", value: !isTrue(first) };
    case "printf": {
      const format = rawOf(first);
      return { kind: "text", raw: fill(format, rest, rawOf), shell: fill(format, rest, shellOf) };
    }
    default:
      return unreachable(name);
  }
}

function fill(format: string, values: readonly Value[], print: (value: Value) => string): string {
  let next = 0;
  return format.replace(/%([svd%])/g, (_, verb: string) => {
    if (verb === "%") return "%";
    const value = values[next];
    next += 1;
    return value === undefined ? "" : print(value);
  });
}

function rawOf(value: Value): string {
  if (value.kind === "text") return value.raw;
  return value.kind === "plain" ? String(value.value) : value.items.join(" ");
}

function shellOf(value: Value): string {
  if (value.kind === "text") return value.shell;
  return value.kind === "plain" ? String(value.value) : value.items.map(quoteShell).join(" ");
}

function isTrue(value: Value): boolean {
  if (value.kind === "text") return value.raw !== "";
  if (value.kind === "list") return value.items.length > 0;
  return value.value !== 0 && value.value !== false;
}
