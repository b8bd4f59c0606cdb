/**
 * Prints a parsed template with values. In a setup command every value that comes from outside the
 * template is quoted for a POSIX shell; the template's own text, `printf` formats included, stays
 * as written. A workflow template prints as Go's text/template does.
 */
import { unreachable } from "../../schema/unreachable.ts";
import { isEqual, isLess } from "./compare.ts";
import { print, printf, println } from "./go-format.ts";
import { quoteShell } from "./quote.ts";
import {
  type At,
  type BranchPart,
  type Call,
  type Expression,
  type Naming,
  type OpenTemplate,
  type Part,
  type Template,
  TemplateFault,
} from "./template.ts";
import { lineOf } from "./token.ts";
import * as values from "./value.ts";
import type { Value } from "./value.ts";

/** A variable that is absent prints as nothing and is false. */
export type TemplateValues = Readonly<Record<string, string | readonly string[] | undefined>>;

export type Filled =
  | {
      ok: true;
      text: string;
      /** Paths without a value that printed as `<no value>`. */
      missing: string[];
    }
  | { ok: false; message: string; at: At };

type Variable = { name: string; value: Value };

type Place = {
  dialect: "closed" | "open";
  quote: values.Quote;
  root: Value;
  /** Variables in scope, the latest last. */
  stack: Variable[];
  missing: Set<string>;
  /** What may still be done. */
  left: { steps: number; chars: number };
};

/** Rounds of nested ranges multiply. This many take a tenth of a second. */
const STEPS_MAX = 200_000;
/** Printed or formed on the way: text doubles in few rounds. The API server takes three MiB. */
const CHARS_MAX = 4 * 1024 * 1024;

export function formatTemplate(template: Template, given: TemplateValues): string {
  const known = Object.entries(given).filter(([, value]) => value !== undefined);
  return run(template, Object.fromEntries(known), quoteShell).text;
}

/** `data`: parameters, as they were read from YAML. */
export function fillTemplate(template: OpenTemplate, data: unknown): Filled {
  try {
    const { text, missing } = run(template, data, values.bare);
    return { ok: true, text, missing };
  } catch (error) {
    if (!(error instanceof TemplateFault)) throw error;
    const { message, offset } = error;
    return { ok: false, message, at: lineOf(template.text, offset) };
  }
}

function run({ dialect, parts }: Template | OpenTemplate, data: unknown, quote: values.Quote) {
  const root = values.outside(data, "", quote);
  const left = { steps: STEPS_MAX, chars: CHARS_MAX };
  const place: Place = { dialect, quote, root, stack: [], missing: new Set(), left };
  const out: string[] = [];
  formatParts(parts, place, root, out);
  return { text: out.join(""), missing: [...place.missing] };
}

type Jump = "continue" | "break" | null;

function formatParts(parts: readonly Part[], place: Place, dot: Value, out: string[]): Jump {
  for (const part of parts) {
    const jump = formatPart(part, place, dot, out);
    if (jump !== null) return jump;
  }
  return null;
}

function formatPart(part: Part, place: Place, dot: Value, out: string[]): Jump {
  takeSteps(1, place);
  switch (part.kind) {
    case "text":
      write(part.text, place, out, 0);
      return null;
    case "print": {
      const value = evaluate(part.value, place, dot);
      write(shown(value, place), place, out, part.value.offset);
      return null;
    }
    case "set":
      name(part.naming, [settled(evaluate(part.value, place, dot))], place.stack);
      return null;
    case "jump":
      return part.jump;
    case "if":
    case "with":
    case "range": {
      const height = place.stack.length;
      const value = evaluate(part.value, place, dot);
      const jump = formatBranch(part, value, place, dot, out);
      place.stack.length = height;
      return jump;
    }
    default:
      return unreachable(part);
  }
}

function takeSteps(count: number, { left }: Place): void {
  left.steps -= count;
  if (left.steps >= 0) return;
  throw new TemplateFault(`the template takes more than ${STEPS_MAX} steps`, 0);
}

function takeChars(text: string, { left }: Place, offset: number): void {
  left.chars -= text.length;
  if (left.chars >= 0) return;
  throw new TemplateFault(`the template prints more than ${CHARS_MAX} characters`, offset);
}

function write(text: string, place: Place, out: string[], offset: number): void {
  takeChars(text, place, offset);
  out.push(text);
}

function shown(value: Value, place: Place): string {
  if (value.kind !== "nil") return values.format(value, "shown");
  if (place.dialect === "closed") return "";
  place.missing.add(value.path);
  return "<no value>";
}

/** Declares or sets; one value fits all names. */
function name(naming: Naming, given: readonly Value[], stack: Variable[]): void {
  for (const [index, one] of naming.names.entries()) {
    const value = given[index] ?? given.at(-1);
    if (value === undefined) continue;
    const known = naming.isNew ? undefined : stack.findLast((held) => held.name === one);
    if (known === undefined) stack.push({ name: one, value });
    else known.value = value;
  }
}

function formatBranch(
  part: BranchPart,
  value: Value,
  place: Place,
  dot: Value,
  out: string[],
): Jump {
  const { kind, naming, body, otherwise } = part;
  if (naming !== null) name(naming, [settled(value)], place.stack);
  if (kind === "range") return formatRange(part, value, place, dot, out);
  if (!values.isTrue(value)) return formatParts(otherwise, place, dot, out);
  return formatParts(body, place, kind === "with" ? value : dot, out);
}

type Round = { key: Value; item: Value };

function formatRange(
  part: BranchPart,
  value: Value,
  place: Place,
  dot: Value,
  out: string[],
): Jump {
  const rounds = roundsOf(value, place, part.value.offset);
  takeSteps(rounds.length, place);
  if (value.kind === "plain" && part.naming?.names.length === 2) {
    throw new TemplateFault("range over a number has one variable", part.value.offset);
  }
  if (rounds.length === 0) return formatParts(part.otherwise, place, dot, out);
  const height = place.stack.length;
  for (const { key, item } of rounds) {
    const { naming } = part;
    if (naming !== null) {
      const isPair = naming.names.length === 2;
      name({ ...naming, isNew: false }, isPair ? [key, item] : [item], place.stack);
    }
    const jump = formatParts(part.body, place, item, out);
    place.stack.length = height;
    if (jump === "break") break;
  }
  return null;
}

/** What a range goes through: a list, a map by its keys, the numbers below an integer. */
function roundsOf(value: Value, { quote, left }: Place, offset: number): Round[] {
  switch (value.kind) {
    case "nil":
      return [];
    case "list":
      return value.items.map((item, index) => ({
        key: values.plain(BigInt(index)),
        item: values.outside(item, String(index), quote),
      }));
    case "map":
      return values.sortedKeys(value.entries).map((key) => ({
        key: values.outside(key, key, quote),
        item: values.entryOf(value.entries, key, key, quote),
      }));
    case "plain": {
      const { value: count } = value;
      if (typeof count !== "bigint") break;
      if (count > BigInt(left.steps)) {
        throw new TemplateFault(`range over ${count} takes more than ${STEPS_MAX} steps`, offset);
      }
      const numbers = Array.from({ length: Math.max(0, Number(count)) }, (_, at) => BigInt(at));
      return numbers.map((at) => ({ key: values.plain(at), item: values.plain(at) }));
    }
    case "text":
      break;
    default:
      return unreachable(value);
  }
  throw new TemplateFault(`range cannot go through ${values.typeOf(value)}`, offset);
}

function evaluate(expression: Expression, place: Place, dot: Value): Value {
  const { offset } = expression;
  switch (expression.kind) {
    case "field":
      return walk(dot, expression.path, place, offset);
    case "variable": {
      const { name: wanted, path } = expression;
      const found = place.stack.findLast((held) => held.name === wanted);
      return walk(found?.value ?? place.root, path, place, offset);
    }
    case "chain":
      return walk(settled(evaluate(expression.of, place, dot)), expression.path, place, offset);
    case "nil":
      return { kind: "nil", isAbsent: false, path: "nil" };
    case "literal":
      return values.literal(expression.value);
    case "call":
      return call(expression, place, dot);
    default:
      return unreachable(expression);
  }
}

/** In brackets and in a variable, Go no longer tells a null from what is absent. */
function settled(value: Value): Value {
  return value.kind === "nil" ? { ...value, isAbsent: true } : value;
}

function walk(from: Value, path: readonly string[], place: Place, offset: number): Value {
  let value = from;
  for (const [index, key] of path.entries()) {
    const so = path.slice(0, index + 1).join(".");
    if (value.kind === "map") value = values.entryOf(value.entries, key, so, place.quote);
    else if (value.kind !== "nil" || !value.isAbsent) {
      const holder = path.slice(0, index).join(".");
      const message = `cannot read ${so}: .${holder} is ${values.typeOf(value)}`;
      throw new TemplateFault(message, offset);
    }
  }
  // Go prints what has no value as nothing was there; an absent variable of a command is empty.
  if (value.kind === "nil" && place.dialect === "closed") return values.text("");
  return value.kind === "nil" ? { ...value, path: path.join(".") || value.path } : value;
}

type CallExpression = Expression & { kind: "call" };

function call({ name: wanted, args, offset }: CallExpression, place: Place, dot: Value): Value {
  if (wanted === "and" || wanted === "or") {
    // The rest is not evaluated, as in Go: `and .a .a.b` is safe.
    let value: Value = { kind: "nil", isAbsent: false, path: "" };
    for (const arg of args) {
      value = evaluate(arg, place, dot);
      if (values.isTrue(value) === (wanted === "or")) break;
    }
    return value;
  }
  const given = args.map((arg) => argument(evaluate(arg, place, dot), place));
  for (const value of given) {
    if (value.kind === "nil" && wanted.startsWith("print")) place.missing.add(value.path);
  }
  return apply(wanted, given, place, offset);
}

/** A list in a command is its words, each quoted. */
function argument(value: Value, { dialect, quote }: Place): Value {
  if (dialect === "open" || value.kind !== "list") return value;
  const words = value.items.map(String);
  return { kind: "text", raw: words.join(" "), shown: words.map(quote).join(" ") };
}

function apply(
  wanted: Exclude<Call, "and" | "or">,
  given: readonly Value[],
  place: Place,
  offset: number,
): Value {
  const [first, second, ...more] = given;
  const absent: Value = { kind: "nil", isAbsent: false, path: "" };
  const [a, b] = [first ?? absent, second ?? absent];
  switch (wanted) {
    case "eq":
      return values.plain([b, ...more].some((one) => areEqual(a, one, place, offset)));
    case "ne":
      return values.plain(!areEqual(a, b, place, offset));
    case "lt":
      return values.plain(isLess(a, b, offset));
    case "le":
      return values.plain(isLess(a, b, offset) || isEqual(a, b, offset));
    case "gt":
      return values.plain(!isLess(a, b, offset) && !isEqual(a, b, offset));
    case "ge":
      return values.plain(!isLess(a, b, offset));
    case "not":
      return values.plain(!values.isTrue(a));
    case "len":
      return values.plain(BigInt(lengthOf(a, offset)));
    case "index":
      if (a.kind === "nil") throw new TemplateFault("index of nothing", offset);
      return given.slice(1).reduce((held, key) => indexOf(held, key, place, offset), a);
    case "print":
    case "println": {
      const form = wanted === "print" ? print : println;
      return formed((how) => form(given, how), place, offset);
    }
    case "printf": {
      if (a.kind !== "text") throw new TemplateFault("printf needs a format", offset);
      const rest = given.slice(1);
      return formed((how) => printf(a.raw, rest, how, offset), place, offset);
    }
    default:
      return unreachable(wanted);
  }
}

function formed(form: (how: "raw" | "shown") => string, place: Place, offset: number): Value {
  const raw = form("raw");
  takeChars(raw, place, offset);
  return { kind: "text", raw, shown: place.dialect === "open" ? raw : form("shown") };
}

/** The variables of a command are text: numbers compare with them by how they are written. */
function areEqual(a: Value, b: Value, { dialect }: Place, offset: number): boolean {
  if (dialect === "open") return isEqual(a, b, offset);
  return values.format(a) === values.format(b);
}

function lengthOf(value: Value, offset: number): number {
  if (value.kind === "text") return Buffer.byteLength(value.raw);
  if (value.kind === "list") return value.items.length;
  if (value.kind === "map") return Object.keys(value.entries).length;
  throw new TemplateFault(`len of ${values.typeOf(value)}`, offset);
}

function indexOf(held: Value, key: Value, { quote }: Place, offset: number): Value {
  if (held.kind === "map" && key.kind === "text") {
    const found = values.entryOf(held.entries, key.raw, key.raw, quote);
    return found.kind === "nil" ? { ...found, isAbsent: false } : found;
  }
  const at = key.kind === "plain" && typeof key.value === "bigint" ? Number(key.value) : null;
  const length = held.kind === "list" || held.kind === "text" ? lengthOf(held, offset) : null;
  if (at === null || length === null) {
    const message = `cannot index ${values.typeOf(held)} with ${values.typeOf(key)}`;
    throw new TemplateFault(message, offset);
  }
  if (at < 0 || at >= length) {
    throw new TemplateFault(`index ${at} of ${length} entries`, offset);
  }
  if (held.kind === "list") return values.outside(held.items[at], String(at), quote);
  const bytes = Buffer.from(held.kind === "text" ? held.raw : "");
  return values.plain(BigInt(bytes[at] ?? 0));
}
