/**
 * One source file as our own rules see it: its text, what `oxc-parser` reads of its imports and
 * exports, and its comments. TypeScript 7 has no JavaScript API to ask.
 */
import { parseSync } from "oxc-parser";
import type { EcmaScriptModule, ParseResult } from "oxc-parser";

export type Source = {
  /** Relative to the repository, with `/`. */
  path: string;
  text: string;
  module: EcmaScriptModule;
  /** The syntax tree and the comments, parsed when they are asked for. */
  parsed: Pick<ParseResult, "program" | "comments">;
};

/** One broken rule at one place. `line` counts from 1. */
export type Violation = { path: string; line: number; rule: string; what: string };

export function parseSource(path: string, text: string): Source {
  const parsed = parseSync(path, text);
  const error = parsed.errors[0];
  if (error !== undefined) throw new Error(`${path}: ${error.message}`);
  return { path, text, module: parsed.module, parsed };
}

export function formatViolation({ path, line, rule, what }: Violation): string {
  return `${path}:${line}: ${rule}: ${what}`;
}

/** The line, from 1, on which `offset` lies. */
export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}

export const isTest = (path: string): boolean => /\.(test|contract)\.tsx?$/.test(path);
export const isMain = (path: string): boolean => /(^|\/)main\.ts$/.test(path);
