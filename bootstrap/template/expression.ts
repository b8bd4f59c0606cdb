/**
 * Parses the words of one action into an expression. Checks every name against the variables, so
 * that a misspelled one is found when the configuration is loaded.
 */
import { nearest } from "../../schema/nearest.ts";
import { type Call, type Expression, TemplateFault } from "./template.ts";
import type { Word } from "./token.ts";
import type { VariableKind } from "./variable.ts";

/** Arguments each function takes. */
const ARGS: Record<Call, { min: number; max: number }> = {
  eq: { min: 2, max: 64 },
  ne: { min: 2, max: 2 },
  and: { min: 1, max: 64 },
  or: { min: 1, max: 64 },
  not: { min: 1, max: 1 },
  printf: { min: 1, max: 64 },
};
const CALLS = Object.keys(ARGS) as Call[];
const DEPTH_MAX = 32;

export type Scope = {
  variables: Readonly<Record<string, VariableKind>>;
  /** True inside a range, where `.` is the element and fields need `$`. */
  inRange: boolean;
};

/** Parses all of `words` as one expression; `offset` locates the error if there are none. */
export function parseExpression(words: readonly Word[], offset: number, scope: Scope): Expression {
  const cursor = { words, at: 0, depth: 0, offset, scope };
  const value = parseCommand(cursor);
  const rest = words[cursor.at];
  if (rest !== undefined) {
    throw new TemplateFault(`unexpected ${wordText(rest)}`, rest.offset, "one value per action");
  }
  return value;
}

type Cursor = { words: readonly Word[]; at: number; depth: number; offset: number; scope: Scope };

/** A function with its arguments, or a single value. */
function parseCommand(cursor: Cursor): Expression {
  const word = cursor.words[cursor.at];
  if (word?.kind !== "name" || word.name === "true" || word.name === "false") {
    return parseOperand(cursor);
  }
  const name = CALLS.find((call) => call === word.name);
  if (name === undefined) {
    const close = nearest(word.name, CALLS);
    const hint = close === null ? `supported: ${CALLS.join(", ")}` : `did you mean ${close}?`;
    throw new TemplateFault(`unknown function ${word.name}`, word.offset, hint);
  }
  cursor.at += 1;
  const args: Expression[] = [];
  for (let next = cursor.words[cursor.at]; next !== undefined; next = cursor.words[cursor.at]) {
    if (next.kind === "mark" && next.mark === ")") break;
    args.push(parseOperand(cursor));
  }
  const { min, max } = ARGS[name];
  if (args.length < min || args.length > max) {
    const wanted = min === max ? `${min}` : `at least ${min}`;
    const message = `${name} needs ${wanted} ${min === 1 ? "value" : "values"}`;
    throw new TemplateFault(message, word.offset, `${args.length} given`);
  }
  if (name === "printf") checkFormat(args, word.offset);
  return { kind: "call", name, args };
}

function parseOperand(cursor: Cursor): Expression {
  const word = cursor.words[cursor.at];
  if (word === undefined) throw new TemplateFault("a value is missing", cursor.offset);
  cursor.at += 1;
  switch (word.kind) {
    case "string":
    case "number":
      return { kind: "literal", value: word.value };
    case "dot":
      if (cursor.scope.inRange) return { kind: "dot" };
      throw new TemplateFault(". has no meaning here", word.offset, "name a variable");
    case "field":
      return parseField(cursor.scope, word);
    case "mark":
      return parseGroup(cursor, word);
    case "name":
      if (word.name === "true" || word.name === "false") {
        return { kind: "literal", value: word.name === "true" };
      }
      throw new TemplateFault(`${word.name} needs brackets here`, word.offset, "write (…)");
  }
}

function parseGroup(cursor: Cursor, word: Word & { kind: "mark" }): Expression {
  if (word.mark === ")") throw new TemplateFault("unexpected )", word.offset);
  cursor.depth += 1;
  if (cursor.depth > DEPTH_MAX) throw new TemplateFault("nested too deeply", word.offset);
  const value = parseCommand(cursor);
  const close = cursor.words[cursor.at];
  if (close?.kind !== "mark" || close.mark !== ")") {
    throw new TemplateFault("the bracket is not closed", word.offset, "add )");
  }
  cursor.at += 1;
  cursor.depth -= 1;
  return value;
}

function parseField(scope: Scope, word: Word & { kind: "field" }): Expression {
  const known = Object.hasOwn(scope.variables, word.name);
  if (!known) {
    const names = Object.keys(scope.variables);
    const close = nearest(word.name, names);
    const all = `known: ${names.map((name) => `.${name}`).join(", ")}`;
    const hint = close === null ? all : `did you mean .${close}?`;
    throw new TemplateFault(`unknown variable {{.${word.name}}}`, word.offset, hint);
  }
  if (scope.inRange && !word.root) {
    const hint = `write $.${word.name}`;
    throw new TemplateFault(`.${word.name} is not a field of a list's element`, word.offset, hint);
  }
  return { kind: "field", name: word.name };
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
      return `.${word.name}`;
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
