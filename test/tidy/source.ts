/**
 * One source file as the tidy rules see it. A rule that searched the raw text would fire on the
 * word `enum` in a sentence; so the text is split into three views of equal length and equal lines:
 * code alone, code with its strings, and comments alone. There is no compiler to ask (TypeScript 7
 * has no JavaScript API), and a small scanner is enough for rules about words.
 */

export type Source = {
  /** Relative to the repository, with `/`. */
  path: string;
  text: string;
  /** Comments and the insides of strings, templates and regular expressions are blank. */
  code: string;
  /** Comments are blank; strings are kept. */
  bare: string;
  /** Everything but comments is blank. */
  comment: string;
};

/** One broken rule at one place. `line` counts from 1. */
export type Violation = { path: string; line: number; rule: string; what: string };

export type Rule = (source: Source) => Violation[];

export function printViolation({ path, line, rule, what }: Violation): string {
  return `${path}:${line}: ${rule}: ${what}`;
}

/** The line, from 1, on which `offset` lies. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let i = text.indexOf("\n"); i !== -1 && i < offset; i = text.indexOf("\n", i + 1)) line += 1;
  return line;
}

export const isTest = (path: string): boolean => /\.(test|contract)\.tsx?$/.test(path);
export const isMain = (path: string): boolean => /(^|\/)main\.ts$/.test(path);

type Kind = "code" | "string" | "comment";

export function parseSource(path: string, text: string): Source {
  const kinds = scan(text);
  const view = (shown: readonly Kind[]) => {
    let out = "";
    for (let i = 0; i < text.length; i += 1) {
      const kind = kinds[i] ?? "code";
      const char = text[i] ?? "";
      out += char === "\n" || shown.includes(kind) ? char : " ";
    }
    return out;
  };
  return {
    path,
    text,
    code: view(["code"]),
    bare: view(["code", "string"]),
    comment: view(["comment"]),
  };
}

/** What each character is. Quotes count as code, so that `"a"!` is still seen as an assertion. */
function scan(text: string): Kind[] {
  const kinds: Kind[] = new Array<Kind>(text.length).fill("code");
  const mark = (from: number, to: number, kind: Kind) => kinds.fill(kind, from, to);
  /** Brace depth at which each open `${` closes. */
  const templates: number[] = [];
  let depth = 0;
  let i = 0;
  while (i < text.length) {
    const char = text[i] ?? "";
    const two = text.slice(i, i + 2);
    let end = i + 1;
    if (two === "//" || (two === "#!" && i === 0)) {
      end = endOr(text, text.indexOf("\n", i));
      mark(i, end, "comment");
    } else if (two === "/*") {
      end = endOr(text, text.indexOf("*/", i + 2), 2);
      mark(i, end, "comment");
    } else if (char === '"' || char === "'") {
      end = endOfString(text, i, char);
      mark(i + 1, end - 1, "string");
    } else if (char === "`" || (char === "}" && templates.at(-1) === depth)) {
      if (char === "}") templates.pop();
      end = endOfTemplate(text, i + 1);
      const opens = text.slice(end - 2, end) === "${";
      mark(i + 1, opens ? end - 2 : end - 1, "string");
      if (opens) templates.push(depth);
    } else if (char === "/" && startsRegex(text, kinds, i)) {
      end = endOfRegex(text, i);
      mark(i + 1, end - 1, "string");
    } else if (char === "{") {
      depth += 1;
    } else if (char === "}") {
      depth -= 1;
    }
    i = end;
  }
  return kinds;
}

const endOr = (text: string, found: number, width = 0) =>
  found === -1 ? text.length : found + width;

/** A string ends at its quote, or at the end of its line if it is malformed. */
function endOfString(text: string, start: number, quote: string): number {
  for (let i = start + 1; i < text.length; i += 1) {
    if (text[i] === "\\") i += 1;
    else if (text[i] === quote) return i + 1;
    else if (text[i] === "\n") return i;
  }
  return text.length;
}

/** Just past the closing backquote, or just past the next `${`. */
function endOfTemplate(text: string, from: number): number {
  for (let i = from; i < text.length; i += 1) {
    if (text[i] === "\\") i += 1;
    else if (text[i] === "`") return i + 1;
    else if (text.startsWith("${", i)) return i + 2;
  }
  return text.length;
}

function endOfRegex(text: string, start: number): number {
  let inClass = false;
  for (let i = start + 1; i < text.length; i += 1) {
    const char = text[i];
    if (char === "\\") i += 1;
    else if (char === "\n") return i;
    else if (char === "[") inClass = true;
    else if (char === "]") inClass = false;
    else if (char === "/" && !inClass) return i + 1;
  }
  return text.length;
}

/**
 * After these words a value follows, so a `/` begins a regular expression rather than a division.
 */
const BEFORE_VALUE = /(?:^|[^\w$.])(?:return|typeof|case|in|of|await|yield|void|throw|else)$/;

function startsRegex(text: string, kinds: readonly Kind[], at: number): boolean {
  let before = at - 1;
  while (before >= 0 && (kinds[before] === "comment" || /\s/.test(text[before] ?? ""))) before -= 1;
  if (before < 0) return true;
  if (/[\w$]/.test(text[before] ?? "")) {
    return BEFORE_VALUE.test(text.slice(Math.max(0, before - 12), before + 1));
  }
  return !/[)\]}"'`]/.test(text[before] ?? "");
}
