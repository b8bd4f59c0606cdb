/**
 * Explains the library's errors to the author of a condition: operators of other languages, a list
 * in round brackets, a field without its variable. Pure. A certain repair is returned too, so that
 * the rest can be parsed and every mistake listed at once.
 */
import { nearest } from "../../schema/nearest.ts";
import { FIELDS } from "./kind.ts";

export type Explained = {
  message: string;
  /** Replaces the text between the offsets; `null` if the repair is not certain. */
  fix: { start: number; end: number; text: string } | null;
};

const WORDS: ReadonlyMap<string, string> = new Map([
  ["and", "&&"],
  ["or", "||"],
  ["not", "!"],
]);
/** Operators of other languages, longest first. */
const SIGNS = [
  ["===", "=="],
  ["!==", "!="],
  ["<>", "!="],
  ["=", "=="],
  ["&", "&&"],
  ["|", "||"],
] as const;
const METHODS = ["contains", "startsWith", "endsWith", "matches", "size"];

/** Explains a syntax error at `offset`; `summary` is the library's text. */
export function explainSyntax(text: string, offset: number, summary: string): Explained {
  const word = wordAround(text, offset);
  const sign = WORDS.get(word.text.toLowerCase());
  const before = /\b([A-Za-z]+)\s+$/.exec(text.slice(Math.max(0, word.start - 64), word.start));
  const negated = before?.[1]?.toLowerCase() === "not" ? before : null;
  if (sign !== undefined) return say(word.start, word.text, sign);
  if (negated !== null) {
    const start = word.start - negated[0].length;
    return say(start, text.slice(start, start + 3), "!");
  }
  for (const [written, meant] of SIGNS) {
    for (let start = offset - written.length + 1; start <= offset; start += 1) {
      if (start < 0 || !text.startsWith(written, start)) continue;
      // Part of a valid operator.
      if (written.length === 1 && /[=!<>&|]/.test(text[start - 1] ?? "")) continue;
      if (written.length === 1 && /[=&|]/.test(text[start + 1] ?? "")) continue;
      return say(start, written, meant);
    }
  }
  const isList = /\bin\s*\(\s*$/.test(text.slice(0, text.lastIndexOf("(", offset) + 1));
  if (isList && summary.includes("COMMA")) {
    const close = text.indexOf(")", offset);
    const start = text.lastIndexOf("(", offset);
    const inner = text.slice(start + 1, close);
    const message = "a list is written in square brackets, as in [79, 48]";
    const whole = close > offset && !/[()]/.test(inner);
    return { message, fix: whole ? { start, end: close + 1, text: `[${inner}]` } : null };
  }
  return { message: summary, fix: null };
}

function say(start: number, written: string, meant: string): Explained {
  const what = meant === "==" ? "to compare" : "instead";
  const message = `${JSON.stringify(written)} is not an operator here: write "${meant}" ${what}`;
  return { message, fix: { start, end: start + written.length, text: meant } };
}

function wordAround(text: string, offset: number): { start: number; text: string } {
  const isLetter = (at: number): boolean => /[A-Za-z0-9_]/.test(text[at] ?? "");
  let start = offset;
  while (start > 0 && isLetter(start - 1)) start -= 1;
  let end = offset;
  while (isLetter(end)) end += 1;
  return { start, text: text.slice(start, end) };
}

/** Explains a type error; a clear summary is returned unchanged. */
export function explainType(summary: string): string {
  const unknown = /^Unknown variable: (\w+)$/.exec(summary)?.[1];
  if (unknown !== undefined) return explainVariable(unknown);
  const overload = /^no such overload: (.+)$/.exec(summary)?.[1];
  if (overload !== undefined) return explainOverload(overload);
  const method = /^found no matching overload for '[^.]*\.(\w+)\((.*)\)'$/.exec(summary)?.[1];
  if (method === undefined || METHODS.includes(method)) return summary;
  const close = nearest(method, METHODS);
  const hint = close === null ? `there are ${METHODS.join(", ")}` : `did you mean ${close}?`;
  return `there is no method ${method}; ${hint}`;
}

function explainVariable(name: string): string {
  for (const [variable, fields] of FIELDS) {
    if (fields.has(name)) return `unknown name ${name}; did you mean ${variable}.${name}?`;
  }
  const close = nearest(name, [...FIELDS.keys()]);
  if (close !== null) return `unknown name ${name}; did you mean ${close}?`;
  if (/_|^temperature$/.test(name)) {
    return `unknown name ${name}; did you mean event.metrics.${name}?`;
  }
  return `unknown name ${name}; text is written in quotes: "${name}"`;
}

const KINDS: Readonly<Record<string, string>> = {
  string: "text",
  int: "a number",
  double: "a number",
  bool: "true or false",
  dyn: "a value",
  null: "null",
};

function explainOverload(types: string): string {
  const parts = /^(\S+) (\S+) (\S+)$/.exec(types);
  const [, left = "", sign = "", right = ""] = parts ?? [];
  const [one, other] = [KINDS[left], KINDS[right]];
  if (sign === "in" && right === "string") {
    return 'in looks inside a list, as in ["xid", "sxid"]; for a part of a text use contains()';
  }
  const list = /^list<(\w+)>$/.exec(right)?.[1];
  if (sign === "in" && one !== undefined && list !== undefined) {
    return `${one} is looked for in a list of ${list} values, where it can never be`;
  }
  if (one === undefined || other === undefined) return `no such overload: ${types}`;
  return `${one} and ${other} cannot be combined by ${sign} (${types})`;
}
