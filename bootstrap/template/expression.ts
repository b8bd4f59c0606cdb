/**
 * Parses the words of one action into an expression. In a setup command every name is checked
 * against the variables, so that a misspelled one is found when the configuration is loaded.
 */
import { nearest } from "../../schema/nearest.ts";
import { type Call, type Expression, TemplateFault } from "./template.ts";
import type { Word } from "./token.ts";
import type { VariableKind } from "./variable.ts";

type Arity = { min: number; max: number };
/** Functions of setup commands, with the arguments they take. */
const CLOSED: Partial<Record<Call, Arity>> = {
  eq: { min: 2, max: 64 },
  ne: { min: 2, max: 2 },
  and: { min: 1, max: 64 },
  or: { min: 1, max: 64 },
  not: { min: 1, max: 1 },
  printf: { min: 1, max: 64 },
};
/** Functions of workflow templates, of those that Go has built in. */
const OPEN: Partial<Record<Call, Arity>> = {
  ...CLOSED,
  lt: { min: 2, max: 2 },
  le: { min: 2, max: 2 },
  gt: { min: 2, max: 2 },
  ge: { min: 2, max: 2 },
  len: { min: 1, max: 1 },
  index: { min: 1, max: 64 },
  print: { min: 0, max: 64 },
  println: { min: 0, max: 64 },
};
const DEPTH_MAX = 32;

export type Scope =
  | {
      dialect: "closed";
      variables: Readonly<Record<string, VariableKind>>;
      /** True inside a range, where `.` is the element and fields need `$`. */
      inRange: boolean;
    }
  /** `names`: the variables that are declared, without their `$`. */
  | { dialect: "open"; names: readonly string[] };

/** Parses all of `words` as one expression; `offset` locates the error if there are none. */
export function parseExpression(words: readonly Word[], offset: number, scope: Scope): Expression {
  const cursor = { words, at: 0, depth: 0, offset, scope };
  const value = parsePipeline(cursor);
  const rest = words[cursor.at];
  if (rest !== undefined) {
    throw new TemplateFault(`unexpected ${wordText(rest)}`, rest.offset, "one value per action");
  }
  return value;
}

type Cursor = { words: readonly Word[]; at: number; depth: number; offset: number; scope: Scope };

const isMark = (word: Word | undefined, mark: string): boolean =>
  word?.kind === "mark" && word.mark === mark;

/** `a | f b` is `f b a`. */
function parsePipeline(cursor: Cursor): Expression {
  let value = parseCommand(cursor, null);
  for (;;) {
    const pipe = cursor.words[cursor.at];
    if (pipe === undefined || !isMark(pipe, "|")) return value;
    if (cursor.scope.dialect === "closed") {
      throw new TemplateFault("pipes are not supported", pipe.offset, "write a function first");
    }
    cursor.at += 1;
    const next = cursor.words[cursor.at];
    if (next?.kind !== "name") {
      throw new TemplateFault("a pipe needs a function", pipe.offset, "write one after |");
    }
    value = parseCommand(cursor, value);
  }
}

/** A function with its arguments, or a single value. `piped` is the last argument. */
function parseCommand(cursor: Cursor, piped: Expression | null): Expression {
  const word = cursor.words[cursor.at];
  if (word?.kind !== "name" || CONSTANTS.has(word.name)) {
    const value = parseOperand(cursor);
    if (piped !== null) throw new TemplateFault("a pipe needs a function", value.offset);
    if (value.kind === "nil") throw new TemplateFault("nil has no value to print", value.offset);
    return value;
  }
  const name = callNamed(word, cursor.scope);
  cursor.at += 1;
  const args: Expression[] = [];
  for (let next = cursor.words[cursor.at]; next !== undefined; next = cursor.words[cursor.at]) {
    if (isMark(next, ")") || isMark(next, "|")) break;
    args.push(parseOperand(cursor));
  }
  if (piped !== null) args.push(piped);
  const { min, max } = arityOf(name, cursor.scope);
  if (args.length < min || args.length > max) {
    const wanted = min === max ? `${min}` : `at least ${min}`;
    const message = `${name} needs ${wanted} ${min === 1 ? "value" : "values"}`;
    throw new TemplateFault(message, word.offset, `${args.length} given`);
  }
  if (name === "printf" && cursor.scope.dialect === "closed") checkFormat(args, word.offset);
  return { kind: "call", name, args, offset: word.offset };
}

const CONSTANTS = new Set(["true", "false", "nil"]);

const arityOf = (name: Call, scope: Scope): Arity =>
  (scope.dialect === "closed" ? CLOSED : OPEN)[name] ?? { min: 0, max: 0 };

function callNamed(word: Word & { kind: "name" }, scope: Scope): Call {
  const calls = Object.keys(scope.dialect === "closed" ? CLOSED : OPEN) as Call[];
  const name = calls.find((call) => call === word.name);
  if (name !== undefined) return name;
  const close = nearest(word.name, calls);
  const hint = close === null ? `supported: ${calls.join(", ")}` : `did you mean ${close}?`;
  throw new TemplateFault(`unknown function ${word.name}`, word.offset, hint);
}

function parseOperand(cursor: Cursor): Expression {
  const word = cursor.words[cursor.at];
  if (word === undefined) throw new TemplateFault("a value is missing", cursor.offset);
  cursor.at += 1;
  const { offset } = word;
  switch (word.kind) {
    case "string":
    case "number":
      return { kind: "literal", value: word.value, offset };
    case "dot":
      if (cursor.scope.dialect === "open" || cursor.scope.inRange) {
        return { kind: "field", path: [], offset };
      }
      throw new TemplateFault(". has no meaning here", offset, "name a variable");
    case "field":
      return parseField(cursor.scope, word);
    case "variable":
      return parseVariable(cursor.scope, word);
    case "mark":
      return parseGroup(cursor, word);
    case "name":
      if (word.name === "nil" && cursor.scope.dialect === "open") return { kind: "nil", offset };
      if (word.name === "true" || word.name === "false") {
        return { kind: "literal", value: word.name === "true", offset };
      }
      throw new TemplateFault(`${word.name} needs brackets here`, offset, "write (…)");
  }
}

function parseGroup(cursor: Cursor, word: Word & { kind: "mark" }): Expression {
  const { offset } = word;
  if (word.mark !== "(") throw new TemplateFault(`unexpected ${word.mark}`, offset);
  cursor.depth += 1;
  if (cursor.depth > DEPTH_MAX) throw new TemplateFault("nested too deeply", offset);
  const value = parsePipeline(cursor);
  if (!isMark(cursor.words[cursor.at], ")")) {
    throw new TemplateFault("the bracket is not closed", offset, "add )");
  }
  cursor.at += 1;
  cursor.depth -= 1;
  const after = cursor.words[cursor.at];
  if (after?.kind !== "field" || !after.isChained || cursor.scope.dialect === "closed") {
    return value;
  }
  cursor.at += 1;
  return { kind: "chain", of: value, path: after.path, offset };
}

function parseField(scope: Scope, word: Word & { kind: "field" }): Expression {
  const { path, offset } = word;
  if (scope.dialect === "open") return { kind: "field", path, offset };
  const name = checkVariable(scope.variables, path, offset, ".");
  if (scope.inRange) {
    const hint = `write $.${name}`;
    throw new TemplateFault(`.${name} is not a field of a list's element`, offset, hint);
  }
  return { kind: "field", path, offset };
}

function parseVariable(scope: Scope, word: Word & { kind: "variable" }): Expression {
  const { name, path, offset } = word;
  if (scope.dialect === "closed") {
    if (name !== "" || path.length === 0) {
      const hint = "name a variable: .Pool, or $.Pool inside a range";
      throw new TemplateFault(`$${name} has no meaning here`, offset, hint);
    }
    checkVariable(scope.variables, path, offset, "$.");
  } else if (name !== "" && !scope.names.includes(name)) {
    const hint = `declare it first: {{$${name} := …}}`;
    throw new TemplateFault(`undefined variable $${name}`, offset, hint);
  }
  return { kind: "variable", name, path, offset };
}

function checkVariable(
  variables: Readonly<Record<string, VariableKind>>,
  [name = "", ...under]: readonly string[],
  offset: number,
  prefix: string,
): string {
  if (under.length > 0) {
    const message = `${prefix}${name} has no fields of its own`;
    throw new TemplateFault(message, offset, "the values are text");
  }
  if (Object.hasOwn(variables, name)) return name;
  const names = Object.keys(variables);
  const close = nearest(name, names);
  const all = `known: ${names.map((known) => `.${known}`).join(", ")}`;
  const hint = close === null ? all : `did you mean .${close}?`;
  throw new TemplateFault(`unknown variable {{.${name}}}`, offset, hint);
}

/**
 * The verbs of a literal format, checked against the number of values; other formats are refused.
 */
function checkFormat(args: readonly Expression[], offset: number): void {
  const format = args[0];
  if (format?.kind !== "literal" || typeof format.value !== "string") {
    throw new TemplateFault("printf needs a literal format", offset, 'write printf "…" first');
  }
  const verbs = format.value.match(/%./gs) ?? [];
  const bad = verbs.find((verb) => !/^%[svd%]$/.test(verb));
  if (bad !== undefined || /(?:^|[^%])(?:%%)*%$/.test(format.value)) {
    throw new TemplateFault(`printf cannot do ${bad ?? "%"}`, offset, "allowed: %s %v %d %%");
  }
  const wanted = verbs.filter((verb) => verb !== "%%").length;
  if (wanted !== args.length - 1) {
    const message = `printf has ${wanted} verbs and ${args.length - 1} values`;
    throw new TemplateFault(message, offset);
  }
}

export function wordText(word: Word): string {
  switch (word.kind) {
    case "field":
      return `.${word.path.join(".")}`;
    case "variable":
      return [`$${word.name}`, ...word.path].join(".");
    case "dot":
      return ".";
    case "name":
      return word.name;
    case "string":
      return JSON.stringify(word.value.slice(0, 40));
    case "number":
      return String(word.value);
    case "mark":
      return word.mark;
  }
}
