/**
 * The few rules that oxlint cannot tell: names of folders, barrels, the header's promise,
 * `new Date()` without a time, and comments that would switch the linter off.
 */
import { Visitor } from "oxc-parser";
import type { TSType } from "oxc-parser";
import { isAdapter } from "./config/oxlint.config.ts";
import { isMain, isTest, lineAt } from "./source.ts";
import type { Source, Violation } from "./source.ts";

const FILE = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|contract|d|config))?\.tsx?$/;
const FOLDER = /^[a-z0-9]+(-[a-z0-9]+)*$/;
const VAGUE = /^(util|utils|utilities|common|helper|helpers|lib|libs|shared|misc)$/;

/** A name says what a file exports, and a folder for "the rest" says nothing. */
export function judgeNames({ path }: Source): Violation[] {
  const parts = path.split("/");
  const file = parts.pop() ?? "";
  const what: string[] = [];
  if (!FILE.test(file)) what.push(`${file} is not kebab-case`);
  for (const folder of parts) {
    if (!FOLDER.test(folder)) what.push(`folder ${folder} is not kebab-case`);
  }
  for (const name of [...parts, file.split(".")[0] ?? ""]) {
    if (VAGUE.test(name)) what.push(`${name} says nothing: name what it holds`);
  }
  return what.map((text) => ({ path, line: 1, rule: "name", what: text }));
}

/** A barrel hides where things live; every import names the file that has what it wants. */
export function judgeBarrel({ path, text, module, parsed }: Source): Violation[] {
  const violation = (start: number, what: string) => {
    return { path, line: lineAt(text, start), rule: "barrel", what };
  };
  if (/(^|\/)index\.tsx?$/.test(path)) return [violation(0, "no index; import the file itself")];
  const entries = module.staticExports.flatMap((one) => one.entries);
  const star = entries.find(({ importName }) => /^All/.test(importName.kind));
  if (star !== undefined) return [violation(star.start, "export * hides where a name comes from")];
  const again = module.staticExports.filter(({ entries: [first] }) => first?.moduleRequest);
  const isBarrel = again.length > 0 && again.length === parsed.program.body.length;
  return isBarrel ? [violation(0, "a file of re-exports only")] : [];
}

/** The header is a full sentence: it begins with a capital, a digit or a code span and it ends. */
export function judgeHeader({ path, text }: Source): Violation[] {
  if (isTest(path)) return [];
  const header = /^(?:#![^\n]*\n)?\s*\/\*\*([\s\S]*?)\*\//.exec(text);
  if (header === null) return [{ path, line: 1, rule: "header", what: "no /** … */ at the top" }];
  const words = (header[1] ?? "").replace(/^\s*\*\s?/gm, "").trim();
  if (words.length >= 30 && /^["'([`A-Z0-9]/.test(words) && /[.:)](\s|$)/.test(words)) return [];
  return [{ path, line: 1, rule: "header", what: "the header is no full sentence" }];
}

/** `new Date()` reads the clock, `new Date(at)` does not; the edge may read it. */
export function judgeClock({ path, text, parsed }: Source): Violation[] {
  const isEdge = isMain(path) || isTest(path) || /^(build|test)\//.test(path) || isAdapter(text);
  if (isEdge || !text.includes("new Date")) return [];
  const found: Violation[] = [];
  new Visitor({
    NewExpression({ callee, arguments: args, start }) {
      if (callee.type !== "Identifier" || callee.name !== "Date" || args.length > 0) return;
      const what = "new Date() reads the clock; take one";
      found.push({ path, line: lineAt(text, start), rule: "clock", what });
    },
  }).visit(parsed.program);
  return found;
}

/** `a!: string` in a class, and a comment that switches rules off: oxlint obeys the latter. */
export function judgeSilence({ path, text, parsed }: Source): Violation[] {
  const found: Violation[] = [];
  const add = (start: number, what: string) =>
    found.push({ path, line: lineAt(text, start), rule: "silence", what });
  if (/(?:ox|es)lint-/.test(text)) {
    for (const { value, start } of parsed.comments) {
      if (/^\s*(?:ox|es)lint-/.test(value)) add(start, "no rule is switched off in place");
    }
  }
  if (/!\s*:/.test(text)) {
    new Visitor({
      PropertyDefinition: ({ definite, start }) => definite && add(start, "a definite assignment"),
      VariableDeclarator: ({ definite, start }) => definite && add(start, "a definite assignment"),
    }).visit(parsed.program);
  }
  return found;
}

/** Where ports are declared and used; what an activation sees becomes plain values. */
const PORTS = /^(?:reconciler\/(?:core\/|runtime|http|server)|agent\/(?:port|report\/part)\.ts$)/;

/** An optional method: what an adapter cannot do is an answer, not an absence. */
export function judgePorts({ path, text, parsed }: Source): Violation[] {
  if (!PORTS.test(path) || path.endsWith(".test.ts") || !text.includes("?")) return [];
  const found: Violation[] = [];
  const add = (start: number) => {
    const what = "an optional method of a port; what an adapter cannot do is an answer";
    found.push({ path, line: lineAt(text, start), rule: "port", what });
  };
  const isFunction = (type: TSType): boolean =>
    type.type === "TSFunctionType" ||
    (type.type === "TSParenthesizedType" && isFunction(type.typeAnnotation)) ||
    (type.type === "TSUnionType" && type.types.some(isFunction));
  new Visitor({
    TSMethodSignature: ({ optional, start }) => optional && add(start),
    TSPropertySignature: ({ optional, typeAnnotation, start }) =>
      optional && typeAnnotation && isFunction(typeAnnotation.typeAnnotation) && add(start),
  }).visit(parsed.program);
  return found;
}
