/**
 * What a file is called, where it lies and how it begins. A name says what the file exports, a
 * folder says which room it belongs to, and the header makes the file's promise; a folder for "the
 * rest" makes none.
 */
import { isTest } from "./source.ts";
import type { Source, Violation } from "./source.ts";

const FILE = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|contract|d))?\.tsx?$/;
const FOLDER = /^[a-z0-9]+(-[a-z0-9]+)*$/;
const VAGUE = /^(util|utils|utilities|common|helper|helpers|lib|libs|shared|misc)$/;

export function judgeNames({ path }: Source): Violation[] {
  const parts = path.split("/");
  const file = parts.pop() ?? "";
  const what: string[] = [];
  if (!FILE.test(file)) what.push(`${file} is not kebab-case`);
  for (const folder of parts) {
    if (!FOLDER.test(folder)) what.push(`folder ${folder} is not kebab-case`);
    if (VAGUE.test(folder)) what.push(`folder ${folder}/ says nothing: name what it holds`);
  }
  const stem = file.split(".")[0] ?? "";
  if (VAGUE.test(stem)) what.push(`${file} says nothing: name it after what it exports`);
  return what.map((text) => ({ path, line: 1, rule: "name", what: text }));
}

/** A barrel hides where things live; every import names the file that has what it wants. */
export function judgeBarrel({ path, code }: Source): Violation[] {
  const found: Violation[] = [];
  const stem = path.split("/").at(-1);
  if (stem === "index.ts" || stem === "index.tsx") {
    found.push({ path, line: 1, rule: "barrel", what: "no index file; import the file itself" });
  }
  const star = /^\s*export\s+(?:type\s+)?\*/m.exec(code);
  if (star !== null) {
    const line = code.slice(0, star.index + star[0].length).split("\n").length;
    found.push({ path, line, rule: "barrel", what: "export * hides where a name comes from" });
  }
  const rest = code.replace(/\bexport\s+(?:type\s+)?(?:\*|\{[^}]*\})\s*from\s*"\s*"\s*;?/g, "");
  if (found.length === 0 && rest !== code && rest.trim() === "") {
    found.push({ path, line: 1, rule: "barrel", what: "a file of re-exports only" });
  }
  return found;
}

/** The header is a full sentence: it begins with a capital, a digit or a code span and it ends. */
export function judgeHeader({ path, text }: Source): Violation[] {
  if (isTest(path)) return [];
  const header = /^(?:#![^\n]*\n)?\s*\/\*\*([\s\S]*?)\*\//.exec(text);
  if (header === null) {
    return [{ path, line: 1, rule: "header", what: "no /** … */ at the top" }];
  }
  const words = (header[1] ?? "").replace(/^\s*\*\s?/gm, "").trim();
  if (words.length < 30 || !/^["'([`A-Z0-9]/.test(words) || !/[.:)](\s|$)/.test(words)) {
    return [{ path, line: 1, rule: "header", what: "the header is no full sentence" }];
  }
  return [];
}
