/**
 * Splits a template into literal text and actions, and an action into words. Offsets are kept for
 * the line and column of errors.
 */
import { type At, TemplateFault } from "./template.ts";

export type Piece =
  | { kind: "text"; text: string }
  | { kind: "action"; words: Word[]; offset: number; source: string };

export type Word =
  /** `.a.b`; directly after `)`, fields of what is in the brackets. */
  | { kind: "field"; path: readonly string[]; isChained: boolean; offset: number }
  /** `$`, `$x` or `$x.a.b`; the name is without its `$`. */
  | { kind: "variable"; name: string; path: readonly string[]; offset: number }
  | { kind: "dot"; offset: number }
  | { kind: "name"; name: string; offset: number }
  | { kind: "string"; value: string; offset: number }
  /** `bigint`: an integer. */
  | { kind: "number"; value: number | bigint; offset: number }
  | { kind: "mark"; mark: Mark; offset: number };

export type Mark = "(" | ")" | "|" | "," | ":=" | "=";

/** White space that trim markers remove, as in Go's text/template. */
const SPACE = /[ \t\r\n]/;

export function lineOf(text: string, offset: number): At {
  const before = text.slice(0, offset).split("\n");
  return { line: before.length, col: (before.at(-1) ?? "").length + 1 };
}

/** Splits a template at its actions; removes comments and applies trim markers. */
export function cutPieces(text: string): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  let trimNext = false;
  const addText = (end: number, trimEnd: boolean) => {
    let piece = text.slice(at, end);
    if (trimNext) piece = piece.replace(/^[ \t\r\n]+/, "");
    if (trimEnd) piece = trimRight(piece);
    if (piece !== "") pieces.push({ kind: "text", text: piece });
  };
  while (at <= text.length) {
    const open = text.indexOf("{{", at);
    if (open < 0) {
      addText(text.length, false);
      return pieces;
    }
    const trimBefore = text[open + 2] === "-" && SPACE.test(text[open + 3] ?? "");
    addText(open, trimBefore);
    const start = open + (trimBefore ? 3 : 2);
    const action = readAction(text, open, start);
    if (action.words !== null) {
      const source = text.slice(open, action.end);
      pieces.push({ kind: "action", words: action.words, offset: open, source });
    }
    trimNext = action.trimAfter;
    at = action.end;
  }
  return pieces;
}

/** A loop from the end is linear; `/[ \t\r\n]+$/` is quadratic on many spaces. */
function trimRight(text: string): string {
  let end = text.length;
  while (end > 0 && SPACE.test(text[end - 1] ?? "")) end -= 1;
  return text.slice(0, end);
}

type Action = { words: Word[] | null; end: number; trimAfter: boolean };

function readAction(text: string, open: number, start: number): Action {
  let at = skipSpace(text, start);
  if (text.startsWith("/*", at)) {
    const close = text.indexOf("*/", at + 2);
    if (close < 0) throw new TemplateFault("the comment is not closed", open, "end it with */}}");
    const end = closing(text, skipSpace(text, close + 2));
    if (end === null) {
      throw new TemplateFault("text after a comment", close + 2, "end it with */}}");
    }
    return { words: null, ...end };
  }
  const words: Word[] = [];
  for (;;) {
    at = skipSpace(text, at);
    const end = closing(text, at);
    if (end !== null) return { words, ...end };
    if (at >= text.length) throw new TemplateFault("the action is not closed", open, "add }}");
    const [word, next] = readWord(text, at);
    words.push(word);
    at = next;
  }
}

function skipSpace(text: string, at: number): number {
  let next = at;
  while (SPACE.test(text[next] ?? "")) next += 1;
  return next;
}

/** `}}` or ` -}}` at `at`: the minus needs white space before it, or it would end a number. */
function closing(text: string, at: number): { end: number; trimAfter: boolean } | null {
  if (text.startsWith("}}", at)) return { end: at + 2, trimAfter: false };
  if (text.startsWith("-}}", at) && SPACE.test(text[at - 1] ?? "")) {
    return { end: at + 3, trimAfter: true };
  }
  return null;
}

const NAME = /[\p{L}_][\p{L}\p{Nd}_]*/uy;
const FIELDS = /(?:\.[\p{L}_][\p{L}\p{Nd}_]*)+/uy;
const VARIABLE = /\$([\p{L}\p{Nd}_]*)((?:\.[\p{L}_][\p{L}\p{Nd}_]*)*)/uy;
const NUMBER = /[-+]?(?:0[xX][\da-fA-F_]+|(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)/y;
const MARK = /:=|[()|,=]/y;
const MARKS: readonly string[] = ["(", ")", "|", ",", ":=", "="] satisfies Mark[];
const isMark = (text: string): text is Mark => MARKS.includes(text);

const namesOf = (fields: string): string[] => fields.split(".").slice(1);

function readWord(text: string, at: number): [Word, number] {
  const char = text[at] ?? "";
  const match = (pattern: RegExp) => {
    pattern.lastIndex = at;
    return pattern.exec(text);
  };
  if (char === '"' || char === "`") return readString(text, at, char);
  const number = match(NUMBER);
  if (number !== null) {
    const end = at + number[0].length;
    return [{ kind: "number", value: readNumber(number[0], at), offset: at }, end];
  }
  const fields = match(FIELDS);
  if (fields !== null) {
    const isChained = text[at - 1] === ")";
    const path = namesOf(fields[0]);
    return [{ kind: "field", path, isChained, offset: at }, at + fields[0].length];
  }
  const variable = match(VARIABLE);
  if (variable !== null) {
    const [all, name = "", under = ""] = variable;
    return [{ kind: "variable", name, path: namesOf(under), offset: at }, at + all.length];
  }
  if (char === ".") return [{ kind: "dot", offset: at }, at + 1];
  const mark = match(MARK)?.[0] ?? "";
  if (isMark(mark)) return [{ kind: "mark", mark, offset: at }, at + mark.length];
  const name = match(NAME);
  if (name !== null) return [{ kind: "name", name: name[0], offset: at }, at + name[0].length];
  const hint = "supported: fields, variables, functions, text and numbers";
  throw new TemplateFault(`unexpected ${JSON.stringify(char)}`, at, hint);
}

const INT64_LEAST = -(2n ** 63n);
const INT64_MOST = 2n ** 63n - 1n;

/** As Go reads constants: `010` is octal, and an integer has 64 bits. */
function readNumber(given: string, at: number): number | bigint {
  const text = given.replaceAll("_", "");
  const isHex = /^[-+]?0[xX]/.test(text);
  if (!isHex && /[.eE]/.test(text)) return Number(text);
  const digits = text.replace(/^[-+]/, "");
  const isOctal = /^0\d/.test(digits);
  if (isOctal && /[89]/.test(digits)) throw new TemplateFault(`bad number ${given}`, at);
  const most = BigInt(isOctal ? `0o${digits.slice(1)}` : digits);
  const value = text.startsWith("-") ? -most : most;
  if (value >= INT64_LEAST && value <= INT64_MOST) return value;
  throw new TemplateFault(`${given} is too large`, at, "an integer has 64 bits");
}

const ESCAPE = /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{3})|(.))/gs;
const ESCAPED = new Map(
  Object.entries({
    a: "\x07",
    b: "\b",
    f: "\f",
    n: "\n",
    r: "\r",
    t: "\t",
    v: "\v",
    "\\": "\\",
    '"': '"',
  }),
);

function readString(text: string, at: number, quote: string): [Word, number] {
  const unclosed = () => new TemplateFault("the text is not closed", at, `add ${quote}`);
  if (quote === "`") {
    const close = text.indexOf("`", at + 1);
    if (close < 0) throw unclosed();
    const value = text.slice(at + 1, close).replaceAll("\r", "");
    return [{ kind: "string", value, offset: at }, close + 1];
  }
  let end = at + 1;
  while (text[end] !== '"') {
    if (end >= text.length || text[end] === "\n") throw unclosed();
    end += text[end] === "\\" ? 2 : 1;
  }
  return [{ kind: "string", value: unescape(text.slice(at + 1, end), at), offset: at }, end + 1];
}

/** Go's escapes. Bytes above 127 cannot be written alone: the text is Unicode. */
function unescape(text: string, at: number): string {
  return text.replace(ESCAPE, (all, byte, short, long, octal, char) => {
    const code = byte ?? short ?? long;
    const point = code === undefined ? Number.parseInt(octal ?? "x", 8) : Number.parseInt(code, 16);
    const pointMax = byte !== undefined || octal !== undefined ? 0x7f : 0x10ffff;
    if (point <= pointMax && !(point >= 0xd800 && point < 0xe000)) {
      return String.fromCodePoint(point);
    }
    const plain = ESCAPED.get(char ?? "");
    if (plain !== undefined) return plain;
    const hint = 'allowed: \\" \\\\ \\n \\t \\x41 \\u1234';
    throw new TemplateFault(`the text has an unknown escape ${all}`, at, hint);
  });
}
