/**
 * Splits a template into literal text and actions, and an action into words. Offsets are kept for
 * the line and column of errors.
 */
import { type At, TemplateFault } from "./template.ts";

export type Piece =
  | { kind: "text"; text: string }
  | { kind: "action"; words: Word[]; offset: number; source: string };

export type Word =
  | { kind: "field"; name: string; root: boolean; offset: number }
  | { kind: "dot"; offset: number }
  | { kind: "name"; name: string; offset: number }
  | { kind: "string"; value: string; offset: number }
  | { kind: "number"; value: number; offset: number }
  | { kind: "mark"; mark: "(" | ")"; offset: number };

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

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /-?\d+(?:\.\d+)?/y;
const FIELD = /(\$?)\.([A-Za-z_][A-Za-z0-9_]*)/y;

function readWord(text: string, at: number): [Word, number] {
  const char = text[at] ?? "";
  const match = (pattern: RegExp) => {
    pattern.lastIndex = at;
    return pattern.exec(text);
  };
  if (char === "(" || char === ")") return [{ kind: "mark", mark: char, offset: at }, at + 1];
  if (char === '"' || char === "`") return readString(text, at, char);
  const field = match(FIELD);
  if (field !== null) {
    const end = at + field[0].length;
    if (text[end] === ".") {
      throw new TemplateFault(`${field[0]} has no fields of its own`, at, "the values are text");
    }
    return [{ kind: "field", name: field[2] ?? "", root: field[1] === "$", offset: at }, end];
  }
  if (char === ".") return [{ kind: "dot", offset: at }, at + 1];
  const number = match(NUMBER);
  if (number !== null) {
    return [{ kind: "number", value: Number(number[0]), offset: at }, at + number[0].length];
  }
  const name = match(NAME);
  if (name !== null) return [{ kind: "name", name: name[0], offset: at }, at + name[0].length];
  const what = char === "|" ? "pipes are not supported" : `unexpected ${JSON.stringify(char)}`;
  const hint = "supported: fields, if, else, end, range, eq, ne, and, or, not, printf";
  throw new TemplateFault(what, at, hint);
}

function readString(text: string, at: number, quote: string): [Word, number] {
  const unclosed = () => new TemplateFault("the text is not closed", at, `add ${quote}`);
  if (quote === "`") {
    const close = text.indexOf("`", at + 1);
    if (close < 0) throw unclosed();
    return [{ kind: "string", value: text.slice(at + 1, close), offset: at }, close + 1];
  }
  let end = at + 1;
  while (text[end] !== '"') {
    if (end >= text.length || text[end] === "\n") throw unclosed();
    end += text[end] === "\\" ? 2 : 1;
  }
  try {
    // Go's and JSON's escapes agree on the ones a command needs: \" \\ \n \t \uXXXX.
    const value: unknown = JSON.parse(text.slice(at, end + 1).replaceAll("\t", "\\t"));
    return [{ kind: "string", value: String(value), offset: at }, end + 1];
  } catch {
    const hint = 'allowed: \\" \\\\ \\n \\t \\u1234';
    throw new TemplateFault("the text has an unknown escape", at, hint);
  }
}
