/**
 * The shape of a parsed template: text, and actions in a subset of Go's template language. Two
 * dialects share it: setup commands use a closed list of variables, so that a misspelled one is an
 * error; workflow templates take any parameters. Neither can loop without end or read anything but
 * its values.
 */

/** A position in the template text, both numbers from 1. */
export type At = { line: number; col: number };

export type Call =
  | "eq"
  | "ne"
  | "lt"
  | "le"
  | "gt"
  | "ge"
  | "and"
  | "or"
  | "not"
  | "len"
  | "index"
  | "print"
  | "println"
  | "printf";

export type Literal = string | bigint | number | boolean;

type Kinds =
  /** `.a.b`; an empty path is `.` itself. */
  | { kind: "field"; path: readonly string[] }
  /** `$x.a.b`; the name is empty for `$`. */
  | { kind: "variable"; name: string; path: readonly string[] }
  /** `(…).a.b` */
  | { kind: "chain"; of: Expression; path: readonly string[] }
  | { kind: "nil" }
  | { kind: "literal"; value: Literal }
  | { kind: "call"; name: Call; args: readonly Expression[] };

/** `offset`: where in the text it begins. */
export type Expression = Kinds & { offset: number };

/** `$i, $x :=` before a value; `isNew` is false for `=`. */
export type Naming = { names: readonly string[]; isNew: boolean };

export type Part =
  | { kind: "text"; text: string }
  | { kind: "print"; value: Expression }
  | { kind: "set"; naming: Naming; value: Expression }
  | BranchPart
  /** Ends this round of the innermost range, or the range. */
  | { kind: "jump"; jump: "continue" | "break" };

export type BranchPart = {
  kind: "if" | "with" | "range";
  naming: Naming | null;
  value: Expression;
  body: Part[];
  otherwise: Part[];
};

/** A setup command. */
export type Template = { readonly dialect: "closed"; readonly parts: readonly Part[] };
/** A workflow template; the text is for the place of errors. */
export type OpenTemplate = {
  readonly dialect: "open";
  readonly parts: readonly Part[];
  readonly text: string;
};

export type TemplateError = { ok: false; message: string; hint: string | null; at: At };
export type TemplateAnswer = { ok: true; template: Template } | TemplateError;
export type OpenTemplateAnswer = { ok: true; template: OpenTemplate } | TemplateError;

/** Thrown inside the parser and printer only, and turned into an answer at their edge. */
export class TemplateFault extends Error {
  readonly offset: number;
  readonly hint: string | null;
  constructor(message: string, offset: number, hint: string | null = null) {
    super(message);
    this.offset = offset;
    this.hint = hint;
  }
}
