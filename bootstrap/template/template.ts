/**
 * The shape of a parsed setup command: text, and actions in a small subset of Go's template
 * language. It cannot loop without end or read anything but its values.
 */

/** A position in the template text, both numbers from 1. */
export type At = { line: number; col: number };

export type Call = "eq" | "ne" | "and" | "or" | "not" | "printf";

export type Expression =
  /** `.Name`, or `$.Name` inside a range. */
  | { kind: "field"; name: string }
  /** `.` inside a range: the element. */
  | { kind: "dot" }
  | { kind: "literal"; value: string | number | boolean }
  | { kind: "call"; name: Call; args: Expression[] };

export type Part =
  | { kind: "text"; text: string }
  | { kind: "print"; value: Expression }
  | { kind: "if"; condition: Expression; then: Part[]; otherwise: Part[] }
  | { kind: "range"; list: Expression; body: Part[]; otherwise: Part[] };

export type Template = { readonly parts: readonly Part[] };

export type TemplateAnswer =
  { ok: true; template: Template } | { ok: false; message: string; hint: string | null; at: At };

/** Thrown inside the parser only, and turned into an answer at its edge. */
export class TemplateFault extends Error {
  readonly offset: number;
  readonly hint: string | null;
  constructor(message: string, offset: number, hint: string | null = null) {
    super(message);
    this.offset = offset;
    this.hint = hint;
  }
}
